//! Every operation of the served document, times every class of callers: who may gets a known answer; who may not is refused
//! as the rule says, changes nothing, and learns nothing, not even whether there is a log.
//!
//! What must hold: the operations come from the document that the server serves, so a new route is in the matrix or fails it.
//!
//! Next: `table` says what each operation needs, `classes` what each class may, `judge` what that leads to.

mod beside;
mod classes;
mod judge;
mod table;
mod world;

use syncline_prove::Chance;

use crate::common::{Answer, LOG};
use crate::document::{Operation, operations};
use judge::{Expected, expected, said};
use table::{Body, Needs, Row, row_of};
use world::{About, JSON, MARK, Person, World};

/// What came of one run.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// Operations of the document.
    pub operations: u64,
    /// Classes of callers.
    pub classes: u64,
    /// Pairs of both that were tried.
    pub cells: u64,
    /// Those of them that were let in.
    pub admitted: u64,
    /// What was not as it must be.
    pub findings: Vec<String>,
}

/// Tries every pair, in an order that the seed says: first those who may not, then those who may.
///
/// # Panics
/// When the server does not start.
pub async fn run(seed: u64) -> Outcome {
    let world = World::made().await;
    let document = world.rig.request("GET", "/v1/openapi.json", &[("authorization", "none")], b"").await.json();
    let mut outcome = Outcome { classes: world.people.len() as u64, ..Outcome::default() };
    let mut cells = Vec::new();
    for operation in operations(&document) {
        outcome.operations += 1;
        let Some(row) = row_of(&operation.id, &world.ids) else {
            outcome.findings.push(format!("{} is in no row of the table: what does it need?", operation.id));
            continue;
        };
        for person in &world.people {
            cells.push((operation.clone(), expected(row.needs, person.class), person));
        }
    }
    shuffle(&mut cells, seed);
    let before = world.seen().await;
    for (operation, expected, person) in cells.iter().filter(|(_, expected, _)| expected.is_refused()) {
        outcome.cells += 1;
        outcome.findings.extend(refused(&world, operation, *expected, person).await);
    }
    for (operation, _, person) in cells.iter().filter(|(_, expected, _)| *expected == Expected::Elsewhere) {
        outcome.cells += 1;
        outcome.findings.extend(elsewhere(&world, operation, person).await);
    }
    let after = world.seen().await;
    for (target, was) in &before {
        if after[target] != *was {
            outcome.findings.push(format!("callers who may not changed {target}: {was} became {}", after[target]));
        }
    }
    for (operation, _, person) in cells.iter().filter(|(_, expected, _)| *expected == Expected::Admitted) {
        outcome.cells += 1;
        outcome.admitted += 1;
        outcome.findings.extend(admitted(&world, operation, person).await);
    }
    let (cells, findings) = beside::tried(&world).await;
    outcome.cells += cells;
    outcome.findings.extend(findings);
    outcome.findings.extend(own_tokens(&world).await);
    outcome
}

fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut chance = Chance::new(seed);
    for at in (1..items.len()).rev() {
        items.swap(at, chance.index(at + 1));
    }
}

async fn ask(world: &World, operation: &Operation, row: &Row, person: &Person, about: About) -> Answer {
    let target = operation.target(&world.values(&operation.path, about)) + &row.query;
    // Without a name of its own the rig says that it is the operator.
    let mut headers = vec![("authorization", person.says.as_deref().unwrap_or(""))];
    let text;
    let body: &[u8] = match &row.body {
        Body::None => b"",
        Body::Json(value) => {
            headers.push(JSON);
            text = value.to_string();
            text.as_bytes()
        }
        Body::Bytes(media_type, bytes) => {
            headers.push(("content-type", media_type));
            bytes
        }
        Body::Piece(bytes) => {
            headers.push(("upload-offset", "0"));
            bytes
        }
    };
    if operation.id == "wake" {
        headers.extend([
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]);
        return world.rig.handshake(&target, &headers).await;
    }
    world.rig.request(&operation.method, &target, &headers, body).await
}

/// One who may not: refused as the rule says, the same for a log that is nowhere, and told nothing.
async fn refused(world: &World, operation: &Operation, expected: Expected, person: &Person) -> Vec<String> {
    let Some(row) = row_of(&operation.id, &world.ids) else { return Vec::new() };
    let answer = ask(world, operation, &row, person, About::This).await;
    let mut findings = Vec::new();
    let mut found = |what: String| {
        findings.push(format!("{} of {}: {what}: {}", operation.id, person.class.name, said(&answer)));
    };
    if !expected.is(&answer) {
        found(format!("should be {expected:?}"));
    }
    if String::from_utf8_lossy(&answer.all).contains(MARK) {
        found("gives away what is hidden".into());
    }
    if expected.tells_nothing() {
        let nowhere = ask(world, operation, &row, person, About::Nowhere).await;
        if judge::plain(&nowhere) != judge::plain(&answer) {
            found(format!("tells a log that is there from one that is not, which is {}", said(&nowhere)));
        }
    }
    findings
}

/// One who may in a bucket of their own: what they name is there what any other name is, not there until they make it.
async fn elsewhere(world: &World, operation: &Operation, person: &Person) -> Vec<String> {
    let Some(row) = row_of(&operation.id, &world.ids) else { return Vec::new() };
    let answer = ask(world, operation, &row, person, About::This).await;
    let nowhere = ask(world, operation, &row, person, About::Nowhere).await;
    let mut findings = Vec::new();
    let mut found = |what: String| {
        findings.push(format!("{} of {}: {what}: {}", operation.id, person.class.name, said(&answer)));
    };
    if said(&nowhere) != said(&answer) {
        found(format!("tells a log of another bucket from one that is nowhere, which is {}", said(&nowhere)));
    }
    if answer.status >= 500 {
        found("a failure of the server".into());
    }
    // Who sent a blob has it.
    if String::from_utf8_lossy(&answer.all).contains(MARK) && !operation.id.starts_with("getBlob") {
        found("gives away another bucket's".into());
    }
    findings
}

/// One who may: one of the row's answers, and nothing of logs that they may not read.
async fn admitted(world: &World, operation: &Operation, person: &Person) -> Vec<String> {
    let Some(row) = row_of(&operation.id, &world.ids) else { return Vec::new() };
    let answer = ask(world, operation, &row, person, About::TheLog).await;
    let mut findings = Vec::new();
    let mut found = |what: String| {
        findings.push(format!("{} of {}: {what}: {}", operation.id, person.class.name, said(&answer)));
    };
    if !row.answers.contains(&said(&answer).as_str()) {
        found(format!("should be one of {:?}", row.answers));
    }
    let text = String::from_utf8_lossy(&answer.all);
    if person.class.foreign && row.needs != Needs::Nothing && text.contains(MARK) {
        found("gives away another bucket's".into());
    }
    let lists = !person.class.foreign && text.contains(&LOG.to_string());
    if operation.id == "listLogs" && !person.class.foreign && lists != person.class.lists_the_log() {
        found("lists a log that they may not read, or not one that they may".into());
    }
    findings
}

/// Who holds a token may rotate it, whatever else it allows.
async fn own_tokens(world: &World) -> Vec<String> {
    let mut findings = Vec::new();
    for person in &world.people {
        let Some(id) = person.token else { continue };
        let says = person.says.as_deref().unwrap_or("");
        let answer =
            world.rig.request("POST", &format!("/v1/tokens/{id}/rotate"), &[("authorization", says)], b"").await;
        if answer.status != 201 {
            findings.push(format!("{} cannot rotate their own token: {}", person.class.name, said(&answer)));
        }
    }
    findings
}
