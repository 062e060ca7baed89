//! Bodies of the account routes: one JSON object, its fields checked one by one so that all that is wrong is said.
//!
//! What must always hold: a body is small before it is read; what does not fit is a 400 with the reference server's
//! words, never a 500; unknown fields are ignored.
//!
//! Next: `routes`.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::super::answer::Refused;
use super::super::body;
use crate::password::PASSWORD_BYTES_MAX;

/// Bytes of such a body.
const BODY_BYTES_MAX: usize = 64 << 10;
/// Bytes of an address (RFC 5321 with its brackets taken off).
const EMAIL_BYTES_MAX: usize = 254;
/// Bytes of a mailed token.
const TOKEN_BYTES_MAX: usize = 256;

/// The fields of a body, and what is wrong with those that were asked for.
#[derive(Debug)]
pub(crate) struct Fields {
    fields: Map<String, Value>,
    issues: Vec<Value>,
}

impl Fields {
    /// Reads a body.
    pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, Refused> {
        let limits = body::Limits { raw: BODY_BYTES_MAX, packed: BODY_BYTES_MAX, unpacked: BODY_BYTES_MAX };
        let text = body::read(headers, &mut { body }, limits).await?;
        match serde_json::from_slice(&text) {
            Ok(Value::Object(fields)) => Ok(Self { fields, issues: Vec::new() }),
            Ok(_) => Err(Refused::invalid("body", "Expected object")),
            Err(_) => Err(Refused::error(StatusCode::BAD_REQUEST, "Body is not valid JSON")),
        }
    }

    /// An address, in lower case.
    pub(crate) fn email(&mut self) -> String {
        let email = self.text("email", EMAIL_BYTES_MAX).trim().to_lowercase();
        // More than the grammar asks: an address without a dot is a slip of the hand, one with a space an attack.
        let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
        let plain = !email.chars().any(|c| c.is_control() || c.is_whitespace());
        if !plain || !domain.contains('.') || email.parse::<lettre::Address>().is_err() {
            self.issue("email", "Invalid email address");
        }
        email
    }

    /// A password of at least so many characters.
    pub(crate) fn password(&mut self, chars_min: usize) -> String {
        let password = self.text("password", PASSWORD_BYTES_MAX);
        if password.chars().count() < chars_min {
            self.issue("password", &format!("Password must be at least {chars_min} characters long"));
        }
        password
    }

    /// A mailed token; whether it is one is for the account to say.
    pub(crate) fn token(&mut self) -> String {
        let token = self.text("token", TOKEN_BYTES_MAX);
        if token.is_empty() {
            self.issue("token", "Token is required");
        }
        token
    }

    /// Terms that are sent along must be accepted; older clients send none.
    pub(crate) fn terms(&mut self) {
        if self.fields.get("termsAccepted").is_some_and(|accepted| *accepted != Value::Bool(true)) {
            self.issue("termsAccepted", "You must accept the terms of service");
        }
    }

    /// An object, whatever is in it.
    #[cfg(feature = "passkeys")]
    pub(crate) fn object(&mut self, field: &str) -> Value {
        match self.fields.get(field) {
            Some(object @ Value::Object(_)) => return object.clone(),
            Some(_) => self.issue(field, "Expected object"),
            None => self.issue(field, "Required"),
        }
        Value::Null
    }

    /// A field that need not be there.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// A whole number that need not be there.
    pub(crate) fn number(&mut self, field: &str) -> Option<u64> {
        let value = self.fields.get(field)?;
        let number = value.as_u64();
        if number.is_none() {
            self.issue(field, "Expected a whole number");
        }
        number
    }

    /// Whether all that was asked for was right.
    pub(crate) fn checked(self) -> Result<(), Refused> {
        if self.issues.is_empty() {
            return Ok(());
        }
        Err(Refused::new(StatusCode::BAD_REQUEST, json!({ "error": "Validation failed", "details": self.issues })))
    }

    fn text(&mut self, field: &str, bytes_max: usize) -> String {
        match self.fields.get(field) {
            Some(Value::String(text)) if text.len() <= bytes_max => return text.clone(),
            Some(Value::String(_)) => self.issue(field, "Too long"),
            Some(_) => self.issue(field, "Expected string"),
            None => self.issue(field, "Required"),
        }
        String::new()
    }

    fn issue(&mut self, field: &str, message: &str) {
        // One complaint a field: the first is the cause of the others.
        if self.issues.iter().all(|issue| issue["path"][0] != field) {
            self.issues.push(json!({ "path": [field], "message": message }));
        }
    }
}
