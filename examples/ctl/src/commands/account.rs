//! Accounts of Super Productivity's clients. They belong to that dialect and not to the engine, so these commands ask
//! the server's operator routes themselves.
//!
//! What must always hold: a token goes to stdout and nowhere else; what was not done is said with the server's words.

use std::io::Write;

use reqwest::{Client, Method, Response};
use serde_json::{Map, Value, json};
use syncline_desk::{Fault, token};

use super::{Outcome, write_line};
use crate::cli::{AccountCommand, Way};

/// Accounts asked for at once.
const PAGE: usize = 100;

/// Runs a command on accounts.
///
/// # Errors
/// Why it stopped.
pub(crate) async fn run(way: &Way, command: AccountCommand, out: &mut dyn Write) -> Result<Outcome, Fault> {
    let server = way.server.trim_end_matches('/');
    let base = format!("{server}/v1/admin/super-productivity/accounts");
    let routes = Routes { client: Client::new(), base, token: token(way.token.as_deref(), way.token_file.as_deref())? };
    match command {
        AccountCommand::Create { email, password_file, quota } => {
            let mut asked = Map::from_iter([("email".to_owned(), json!(email))]);
            if let Some(path) = password_file {
                let password = std::fs::read_to_string(&path);
                let password = password.map_err(|error| Fault::file("cannot read the password from", &path, &error))?;
                asked.insert("password".into(), json!(password.trim_end_matches(['\r', '\n'])));
            }
            if let Some(quota) = quota {
                asked.insert("quota_bytes".into(), json!(quota));
            }
            let made = routes.ask(Method::POST, "", Some(asked.into())).await?;
            eprintln!("account {} for {}; its token:", made["account"]["id"], email);
            write_token(&made, out)?;
        }
        AccountCommand::List => list(&routes, out).await?,
        AccountCommand::Token { account } => {
            let path = format!("/{}/token", segment(&account));
            write_token(&routes.ask(Method::POST, &path, None).await?, out)?;
        }
        AccountCommand::Devices { account } => {
            let path = format!("/{}/devices", segment(&account));
            let answer = routes.ask(Method::GET, &path, None).await?;
            for device in answer["devices"].as_array().ok_or_else(|| unreadable("devices"))? {
                write_line(out, device)?;
            }
        }
        AccountCommand::Clear { account, yes: _ } => {
            routes.ask(Method::DELETE, &format!("/{}/data", segment(&account)), None).await?;
            eprintln!("everything {account} stored is deleted");
        }
        AccountCommand::Delete { account, yes: _ } => {
            routes.ask(Method::DELETE, &format!("/{}", segment(&account)), None).await?;
            eprintln!("account {account} is deleted with everything it stored");
        }
    }
    Ok(Outcome::Done)
}

async fn list(routes: &Routes, out: &mut dyn Write) -> Result<(), Fault> {
    let mut after = 0;
    loop {
        let page = routes.ask(Method::GET, &format!("?after={after}&limit={PAGE}"), None).await?;
        let accounts = page["accounts"].as_array().ok_or_else(|| unreadable("accounts"))?;
        let Some(last) = accounts.last() else { return Ok(()) };
        for account in accounts {
            write_line(out, account)?;
        }
        after = last["id"].as_u64().filter(|id| *id > after).ok_or_else(|| unreadable("accounts in order"))?;
    }
}

fn write_token(answer: &Value, out: &mut dyn Write) -> Result<(), Fault> {
    let token = answer["token"].as_str().ok_or_else(|| unreadable("a token"))?;
    writeln!(out, "{token}")?;
    Ok(())
}

struct Routes {
    client: Client,
    base: String,
    token: String,
}

impl Routes {
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Fault> {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|error| unreachable_server(&error))?;
        answer(response).await
    }
}

async fn answer(response: Response) -> Result<Value, Fault> {
    let status = response.status();
    let text = response.text().await.map_err(|error| unreachable_server(&error))?;
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    let code = body["code"].as_str().unwrap_or_default();
    if code == "NO_SUCH_ROUTE" {
        return Err(Fault::new("the server does not serve Super Productivity's clients: it has no token secret"));
    }
    let said = body["detail"].as_str().or(body["error"].as_str()).unwrap_or("no reason given");
    let details = body["details"].as_array().into_iter().flatten().filter_map(|detail| detail["message"].as_str());
    let details: String = details.map(|detail| format!("; {detail}")).collect();
    Err(Fault::new(format!("{said}{details} (status {}{})", status.as_u16(), prefixed(code))))
}

fn prefixed(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(", {code}") }
}

fn unreachable_server(error: &reqwest::Error) -> Fault {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Fault::new(format!("the server does not answer: {cause}"))
}

fn unreadable(what: &str) -> Fault {
    Fault::new(format!("the server answered without {what}"))
}

/// An address as one segment of a path: every byte that has a meaning there, or none, is escaped.
fn segment(account: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte);
    account.bytes().fold(String::new(), |mut text, byte| {
        if plain(byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn an_address_is_one_segment_whatever_it_holds() {
        assert_eq!(segment("a.b+c@d.de"), "a.b%2Bc@d.de");
        assert_eq!(segment("../x?y#z%"), "..%2Fx%3Fy%23z%25");
        assert_eq!(segment("12"), "12");
    }
}
