//! Public links over HTTP: the address is the request's path, a password comes in a header or in a form, never in the address.
//!
//! What must hold: what somebody put into a folder is never shown as a page of this server: it is an attachment of bytes, under
//! a name that cannot end the header it stands in; an address is in no log of ours and in no `Referer`.

use axum::body::Body;
use axum::extract::{Form, FromRequest as _, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use hyper::body::Body as _;
use serde::Deserialize;
use syncline::access::LinkToken;
use syncline::call::{ErrorCode, Refusal};
use syncline::limits;
use syncline::server::Linked;
use syncline::tree::{Content, NameKey};
use syncline::wire::json::LinkedJson;
use tracing::Instrument as _;

use super::answer::json;
use super::ask::{param, query, refuse};
use super::give::{Giving, set};
use super::limits::Place;
use super::problem::malformed;
use super::query::LinkQuery;
use super::{App, body, env};
use crate::LINK_PASSWORD_HEADER;

/// Bytes of a form: a password of the longest kind, each byte escaped, and its name.
const FORM_BYTES_MAX: usize = 3 * limits::LINK_PASSWORD_BYTES_MAX + 64;

/// A form with a password.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PasswordForm {
    password: String,
}

/// One request to an address.
pub(super) async fn open(
    app: &App,
    params: &RawPathParams,
    parts: Parts,
    body: &mut Body,
) -> Result<Response, Refusal> {
    let unknown = |_| Refusal::new(ErrorCode::LinkNotFound, "no such link");
    let token: LinkToken = param(params, "token").map_err(unknown)?;
    let asked: LinkQuery = query(&parts)?;
    let password = password(app, &parts, body).await?;
    let (app, env) = (app.clone(), env::env()?);
    let work = async move {
        let linked = app.server().open_link(&token, password.as_deref(), asked.node, env).await?;
        let mut response = match linked.content {
            Some(content) => file(&app, &linked, content, &parts, env).await?,
            None => folder(&app, &linked, asked).await?,
        };
        let headers = response.headers_mut();
        let policy = HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        Ok(response)
    };
    let bug = |_| Err(Refusal::new(ErrorCode::Internal, "the server met a bug; its log names this request's id"));
    tokio::spawn(work.in_current_span()).await.unwrap_or_else(bug)
}

async fn file(
    app: &App,
    linked: &Linked,
    content: Content,
    parts: &Parts,
    env: syncline::time::Env,
) -> Result<Response, Refusal> {
    // A part of a download that is numbered would be a download of its own, or none.
    let asked = Giving::asked(&parts.headers, content.blob, content.bytes, !linked.numbered);
    let mut response = match asked {
        Ok(giving) => {
            let range = giving.range();
            let counted = parts.method != Method::HEAD && range.start == 0;
            let source = app.server().open_linked(linked, range, counted, env).await?;
            giving.answer(source, parts.extensions.get::<Place>().cloned())
        }
        Err(response) => *response,
    };
    set(&mut response, header::CONTENT_DISPOSITION, &attachment(linked.node.name.as_str()));
    Ok(response)
}

async fn folder(app: &App, linked: &Linked, asked: LinkQuery) -> Result<Response, Refusal> {
    let place = |text: String| NameKey::place(&text).ok_or_else(|| malformed("after: no name contains that"));
    let after = asked.after.map(place).transpose()?;
    let limit = asked.limit.unwrap_or(limits::TREE_PAGE_NODES_MAX);
    let page = app.server().link_children(linked, after, limit).await?;
    json(StatusCode::OK, &LinkedJson::of(&linked.node, &page)).map_err(|error| refuse(&error))
}

/// The password that came with a request.
async fn password(app: &App, parts: &Parts, body: &mut Body) -> Result<Option<String>, Refusal> {
    let given = parts.headers.get(LINK_PASSWORD_HEADER);
    let given = given.map(|value| String::from_utf8(value.as_bytes().to_vec()));
    let given = given.transpose().map_err(|_| malformed("the password is no UTF-8"))?;
    if parts.method != Method::POST {
        return if body.is_end_stream() { Ok(given) } else { Err(malformed("this call takes no body")) };
    }
    let bytes = body::read(body, &parts.headers, app.options(), FORM_BYTES_MAX).await?;
    let mut request = Request::new(Body::from(bytes));
    *request.method_mut() = Method::POST;
    if let Some(media_type) = parts.headers.get(header::CONTENT_TYPE) {
        request.headers_mut().insert(header::CONTENT_TYPE, media_type.clone());
    }
    // What was wrong with it may repeat what was in it.
    let form = Form::<PasswordForm>::from_request(request, &()).await;
    let Form(form) = form.map_err(|_| malformed("the body is a form with one field, password"))?;
    Ok(Some(form.password))
}

/// The header that has a browser keep a file and not show it (RFC 6266): a name in plain letters for old ones, and the name
/// itself in escaped UTF-8 (RFC 8187).
fn attachment(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || " .-_()+,=@".contains(c) { c } else { '_' };
    let fallback: String = name.chars().map(plain).collect();
    let mut escaped = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{escaped}")
}

#[cfg(test)]
mod tests {
    use super::attachment;

    #[test]
    fn no_name_ends_the_header_it_stands_in() {
        for (name, header) in [
            ("a b.txt", "attachment; filename=\"a b.txt\"; filename*=UTF-8''a%20b.txt"),
            ("ü", "attachment; filename=\"_\"; filename*=UTF-8''%C3%BC"),
            ("x\";y", "attachment; filename=\"x__y\"; filename*=UTF-8''x%22%3By"),
            (
                "a\r\nset-cookie: b",
                "attachment; filename=\"a__set-cookie_ b\"; filename*=UTF-8''a%0D%0Aset-cookie%3A%20b",
            ),
            ("%0d\\", "attachment; filename=\"_0d_\"; filename*=UTF-8''%250d%5C"),
        ] {
            assert_eq!(attachment(name), header);
            assert!(header.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
}
