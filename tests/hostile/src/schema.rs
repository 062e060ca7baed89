//! Requests that a machine makes of the served document, to the real server over loopback.
//!
//! What must hold: every operation was asked; no request is answered by a failure of the server, with a status, a header or a
//! body that the document does not name, or with anything but a refusal when it does not say who asks. What is *not* asked for:
//! that whatever fits the schemas is taken, for 1.0 is an integer to JSON Schema and none to us, and a blob's bytes have to be
//! the ones named.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use syncline_prove::{Tally, installed};
use syncline_tests::rig::server::{Process, TOKEN};

/// What is looked for in each answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,missing_required_header,unsupported_method,allow_header_conformance,\
                      use_after_free,ensure_resource_availability,ignored_auth,negative_data_rejection";

/// What schemathesis is to be told that is not on its command line: every refusal is one.
const SETTINGS: &str =
    "hooks = \"hooks.py\"\n\n[checks.negative_data_rejection]\nexpected-statuses = [\"4xx\", \"503\"]\n";
const HOOKS: &str = include_str!("hooks.py");

/// How hard it is tried.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "once, or for a while")]
pub enum Effort {
    /// A few requests to each operation, the same each time.
    Once,
    /// All that can be made of the document, then sequences of requests, for this long.
    For(Duration),
}

/// Asks with the operator's token, then without any.
///
/// # Errors
/// When schemathesis is missing, or says nothing.
pub fn run(tally: &mut Tally, effort: Effort, seed: u64) -> anyhow::Result<()> {
    let program =
        installed("schemathesis", "schemathesis").context("schemathesis is missing: tests/install gets it")?;
    let folder = tempfile::tempdir()?;
    let server = Process::start(&folder.path().join("data"), None);
    for (says, share) in [(Some(TOKEN), 0.85), (None, 0.15)] {
        let mut command = Command::new(&program);
        let settings = folder.path().join("settings.toml");
        std::fs::write(&settings, SETTINGS)?;
        std::fs::write(folder.path().join("hooks.py"), HOOKS)?;
        command.arg("--config-file").arg(&settings).arg("run").arg(format!("{}/v1/openapi.json", server.url));
        command.args(["--checks", CHECKS, "--warnings", "off", "--continue-on-failure", "--no-color"]);
        command.args(["--seed", &seed.to_string(), "--generation-database", "none", "--suppress-health-check", "all"]);
        match effort {
            Effort::Once => command.args(["--phases", "fuzzing", "--max-examples", "2"]),
            Effort::For(time) => command.args(["--max-time", &time.mul_f64(share).as_secs().max(1).to_string()]),
        };
        if let Some(token) = says {
            command.args(["--header", &format!("Authorization: Bearer {token}")]);
        }
        let report = folder.path().join("report.json");
        command.args(["--report", "json", "--report-json-path"]).arg(&report);
        let output = command
            .current_dir(&folder)
            .envs([("PYTHONDONTWRITEBYTECODE", "1"), ("SYNCLINE_URL", &server.url), ("SYNCLINE_TOKEN", TOKEN)])
            .stdin(Stdio::null())
            .output()
            .context("starting schemathesis")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let report = std::fs::read(&report).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let report = report.with_context(|| format!("no report: {said}{}", String::from_utf8_lossy(&output.stderr)))?;
        count(tally, &report, &said, says.is_some())?;
    }
    ensure!(server.pid().is_some(), "the server ended");
    Ok(())
}

fn count(tally: &mut Tally, report: &Value, said: &str, known: bool) -> anyhow::Result<()> {
    let number = |place: &str| report.pointer(place).and_then(Value::as_u64).with_context(|| format!("no {place}"));
    let (selected, tested) = (number("/operations/selected")?, number("/operations/tested")?);
    if known {
        tally.add("operations", selected);
    }
    tally.add(if known { "requests made" } else { "requests of nobody" }, number("/test_cases/generated")?);
    if tested < selected {
        tally.found(format!("only {tested} of {selected} operations were asked"));
    }
    let failures = report["failures"].as_array().map_or(0, Vec::len);
    let errors = report["errors"].as_array().map_or(0, Vec::len);
    if failures + errors > 0 {
        eprintln!("{said}");
    }
    for kind in ["failures", "errors"] {
        for failure in report[kind].as_array().into_iter().flatten() {
            tally.found(format!("{}: {}", failure["title"], failure["operations"]));
        }
    }
    Ok(())
}
