//! The document that describes every route (OpenAPI 3.1), made from the table that serves them: a route cannot be
//! served undocumented. What the bodies look like stands in `schemas.json`; a test holds real bodies against it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use syncline::call::{ErrorCode, Refusal};
use syncline::wire::{BINARY_MEDIA_TYPE, JSON_MEDIA_TYPE};
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, OpenApi, OpenApiBuilder, PathsBuilder, Ref, RefOr, Required,
    ResponseBuilder, Schema,
};

use super::problem::problem;
use crate::route::{Route, Verb};
use crate::{BLOB_MEDIA_TYPE, PROBLEM_MEDIA_TYPE, UPLOAD_OFFSET_HEADER};

const SCHEMAS: &str = include_str!("schemas.json");
const BEARER: &str = "bearer";

/// What a route takes and gives, beyond what the table says.
struct Shape {
    query: &'static [(&'static str, &'static str, Required)],
    takes: Option<&'static str>,
    gives: &'static [(u16, &'static str, Option<&'static str>)],
}

const fn shape(route: Route) -> Shape {
    const OPTIONAL: Required = Required::False;
    let (query, takes, gives): (&[_], _, &[_]) = match route {
        Route::CreateLog => {
            (&[("sealing", "Sealing", OPTIONAL)], None, &[(201, "made", Some("Log")), (200, "was there", Some("Log"))])
        }
        Route::RotateKeys => (&[], Some("RotateKeys"), &[(200, "its bounds", Some("Log"))]),
        Route::LogStatus => (&[], None, &[(200, "its bounds", Some("Log"))]),
        Route::DeleteLog => {
            (&[("seq", "Seq", Required::True), ("anchor", "Anchor", OPTIONAL)], None, &[(204, "deleted", None)])
        }
        Route::Logs => {
            (&[("after", "Id", OPTIONAL), ("limit", "Limit", OPTIONAL)], None, &[(200, "the logs", Some("Logs"))])
        }
        Route::Push => (&[("part", "Part", OPTIONAL)], Some("Push"), &[(200, "one verdict per op", Some("Pushed"))]),
        Route::Pull => (
            &[
                ("after", "Seq", OPTIONAL),
                ("anchor", "Anchor", OPTIONAL),
                ("limit", "Limit", OPTIONAL),
                ("bytes", "PageBytes", OPTIONAL),
                ("part", "Part", OPTIONAL),
            ],
            None,
            &[(200, "a page", Some("Page"))],
        ),
        Route::GetSnapshot => (
            &[("part", "Part", OPTIONAL)],
            None,
            &[(200, "the snapshot", Some("Snapshot")), (204, "read from the start instead", None)],
        ),
        Route::PutSnapshot => (&[], Some("Snapshot"), &[(204, "kept", None)]),
        Route::RestorePoints => {
            (&[("limit", "Limit", OPTIONAL)], None, &[(200, "the restore points", Some("RestorePoints"))])
        }
        Route::Restore => (&[], Some("Restore"), &[(200, "restored", Some("Restored"))]),
        Route::UndoRestore => (&[], Some("UndoRestore"), &[(200, "restored", Some("Restored"))]),
        Route::Acknowledge => (&[], Some("Acknowledge"), &[(200, "what all of them hold", Some("Acknowledged"))]),
        Route::Devices => (&[], None, &[(200, "who holds it", Some("Devices"))]),
        Route::ReserveBlobs => (&[], Some("Reserve"), &[(200, "one need per blob", Some("Needs"))]),
        Route::BlobUsage => (&[], None, &[(200, "what they take", Some("BlobUsage"))]),
        Route::SetBlobQuota => (&[], Some("BlobQuota"), &[(200, "what they take", Some("BlobUsage"))]),
        Route::PutBlobs => (&[], None, &[(200, "of each whether it was new", Some("Stored"))]),
        Route::GetBlobs => {
            (&[], Some("GetBlobs"), &[(200, "them, in order, in the form in which they are sent together", None)])
        }
        Route::PutBlob => (&[], None, &[(201, "stored", None), (204, "was there", None)]),
        Route::GetBlob => {
            (&[], None, &[(200, "the blob", None), (206, "the range", None), (304, "the reader has it", None)])
        }
        Route::UploadAt => {
            (&[("size", "BlobBytes", Required::True)], None, &[(200, "`Upload-Offset` says where it goes on", None)])
        }
        Route::AppendBlob => (
            &[("size", "BlobBytes", Required::True)],
            None,
            &[(204, "`Upload-Offset` says where it goes on; at the end it is stored", None)],
        ),
        Route::DropUpload => (&[], None, &[(204, "dropped", None)]),
        Route::SetScanning => (&[], Some("Scanning"), &[(204, "set", None)]),
        Route::Scans => (
            &[("after", "Blob", OPTIONAL), ("limit", "Limit", OPTIONAL)],
            None,
            &[(200, "what was said", Some("Scans"))],
        ),
        Route::ReleaseBlob => (&[], None, &[(204, "released", None)]),
        Route::RescanBlob => (&[], None, &[(204, "forgotten", None)]),
        Route::KeepManifest => (&[], None, &[(200, "kept, or what it needs first", Some("ManifestKept"))]),
        Route::Commit => {
            (&[], Some("Commit"), &[(200, "one answer per op, or what it needs first", Some("Committed"))])
        }
        Route::ShareFolder => {
            (&[], Some("Share"), &[(200, "shared, or how much is still to be copied", Some("Shared"))])
        }
        Route::TreeTerms => (&[], None, &[(200, "what it takes", Some("TreeTerms"))]),
        Route::SetTreeTerms => (&[], Some("NewTreeTerms"), &[(200, "what it takes", Some("TreeTerms"))]),
        Route::Nodes | Route::Trash => (
            &[("after", "Id", OPTIONAL), ("limit", "NodesLimit", OPTIONAL)],
            None,
            &[(200, "the nodes", Some("Nodes"))],
        ),
        Route::Leaves => (&[("limit", "NodesLimit", OPTIONAL)], None, &[(200, "the nodes", Some("Nodes"))]),
        Route::PurgeTrash => (&[], None, &[(200, "how many went", Some("Purged"))]),
        Route::Node => (&[("limit", "NodesLimit", OPTIONAL)], None, &[(200, "the node", Some("Nodes"))]),
        Route::Children => (
            &[("after", "FoldedName", OPTIONAL), ("limit", "NodesLimit", OPTIONAL)],
            None,
            &[(200, "the nodes", Some("Nodes"))],
        ),
        Route::Revisions => (
            &[("after", "Seq", OPTIONAL), ("limit", "Limit", OPTIONAL)],
            None,
            &[(200, "the revisions", Some("Revisions"))],
        ),
        Route::RotateToken => (&[], None, &[(201, "the only time the token is shown", Some("Token"))]),
        Route::Tokens => {
            (&[("after", "Id", OPTIONAL), ("limit", "Limit", OPTIONAL)], None, &[(200, "the tokens", Some("Tokens"))])
        }
        Route::CreateGroup => (&[], Some("CreateGroup"), &[(201, "made", Some("GroupMade"))]),
        Route::Groups => {
            (&[("after", "Id", OPTIONAL), ("limit", "Limit", OPTIONAL)], None, &[(200, "the groups", Some("Groups"))])
        }
        Route::DeleteGroup => (&[], None, &[(204, "ended", None)]),
        Route::JoinGroup => (&[], None, &[(204, "it is in it", None)]),
        Route::LeaveGroup => (&[], None, &[(204, "it is not in it", None)]),
        Route::Grant => (&[("access", "Access", Required::True)], None, &[(204, "granted", None)]),
        Route::EndGrant => (&[], None, &[(204, "taken", None)]),
        Route::MakeLink => (&[], Some("MakeLink"), &[(201, "the only time the address is shown", Some("LinkMade"))]),
        Route::Links => {
            (&[("after", "Id", OPTIONAL), ("limit", "Limit", OPTIONAL)], None, &[(200, "the links", Some("Links"))])
        }
        Route::RevokeLink => (&[], None, &[(204, "ended", None)]),
        Route::OpenLink | Route::OpenLinkByForm => (
            &[("node", "Id", OPTIONAL), ("after", "FoldedName", OPTIONAL), ("limit", "NodesLimit", OPTIONAL)],
            None,
            &[
                (200, "the file as it is, or what is in the folder", Some("Linked")),
                (206, "the range", None),
                (304, "the reader has it", None),
            ],
        ),
        Route::MintToken => (&[], Some("MintToken"), &[(201, "the only time the token is shown", Some("Token"))]),
        Route::RevokeToken => (&[], None, &[(204, "ended", None)]),
        Route::Wake => (&[], None, &[(101, "a WebSocket of {\"wake\":{\"log\":…,\"seq\":…}} frames", None)]),
        Route::OpenApi => (&[], None, &[(200, "this document", None)]),
        Route::Live => (&[], None, &[(200, "it runs", None)]),
        Route::Ready => (&[], None, &[(200, "it serves", None)]),
    };
    Shape { query, takes, gives }
}

/// The document.
fn document() -> Result<OpenApi, serde_json::Error> {
    let schemas: BTreeMap<String, RefOr<Schema>> = serde_json::from_str(SCHEMAS)?;
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    let components = schemas
        .into_iter()
        .fold(ComponentsBuilder::new(), |components, (name, schema)| components.schema(name, schema))
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .build();
    let mut paths = PathsBuilder::new().build();
    for route in Route::ALL.iter().copied() {
        paths.add_path_operation(route.path(), vec![method(route.verb())], operation(route));
    }
    let info = InfoBuilder::new()
        .title("syncline")
        .version(syncline::wire::PROTOCOL_VERSIONS.end().to_string())
        .description(Some("Logs of ops that replicas sync through. Every refusal is a problem document."))
        .build();
    Ok(OpenApiBuilder::new().info(info).paths(paths).components(Some(components)).build())
}

/// The document as it is served; written once.
pub(super) fn response() -> Response {
    static DOCUMENT: LazyLock<Option<Bytes>> =
        LazyLock::new(|| document().and_then(|document| serde_json::to_vec(&document)).ok().map(Bytes::from));
    match &*DOCUMENT {
        Some(document) => super::answer::with_type(StatusCode::OK, document.clone(), JSON_MEDIA_TYPE),
        None => problem(&Refusal::new(ErrorCode::Internal, "the document does not read")),
    }
}

fn operation(route: Route) -> Operation {
    let shape = shape(route);
    let mut operation = OperationBuilder::new().operation_id(Some(route.operation())).summary(Some(route.what()));
    for name in ["log", "id", "node", "link", "member"] {
        if route.path().contains(&format!("{{{name}}}")) {
            operation = operation.parameter(parameter(name, "Id", ParameterIn::Path, Required::True));
        }
    }
    if route.path().contains("{blob}") {
        operation = operation.parameter(parameter("blob", "Blob", ParameterIn::Path, Required::True));
    }
    if route.path().contains("{token}") {
        operation = operation.parameter(parameter("token", "LinkToken", ParameterIn::Path, Required::True));
    }
    for (name, schema, required) in shape.query {
        operation = operation.parameter(parameter(name, schema, ParameterIn::Query, required.clone()));
    }
    for name in headers(route) {
        operation = operation.parameter(parameter(name, "BlobBytes", ParameterIn::Header, Required::True));
    }
    if let Some((media_type, schema)) = takes_as_it_is(route) {
        let content = schema.map_or_else(Content::default, content);
        let body = RequestBodyBuilder::new().required(Some(Required::True)).content(media_type, content);
        operation = operation.request_body(Some(body.build()));
    }
    if let Some(schema) = shape.takes {
        let mut body =
            RequestBodyBuilder::new().required(Some(Required::True)).content(JSON_MEDIA_TYPE, content(schema));
        if route.speaks_binary() {
            body = body.content(BINARY_MEDIA_TYPE, Content::default());
        }
        operation = operation.request_body(Some(body.build()));
    }
    for (status, what, schema) in shape.gives {
        let mut response = ResponseBuilder::new().description(*what);
        if let Some(schema) = schema {
            response = response.content(JSON_MEDIA_TYPE, content(schema));
            if route.speaks_binary() {
                response = response.content(BINARY_MEDIA_TYPE, Content::default());
            }
        }
        if let Some(media_type) = gives_as_it_is(route).filter(|_| matches!(status, 200 | 206)) {
            response = response.content(media_type, Content::default());
        }
        operation = operation.response(status.to_string(), response.build());
    }
    let refused = ResponseBuilder::new().description("refused").content(PROBLEM_MEDIA_TYPE, content("Problem")).build();
    operation = operation.response("default", refused);
    if !route.is_open() {
        operation = operation.security(SecurityRequirement::new(BEARER, [] as [&str; 0]));
    }
    operation.build()
}

/// Headers without which a request is none.
const fn headers(route: Route) -> &'static [&'static str] {
    match route {
        Route::AppendBlob => &[UPLOAD_OFFSET_HEADER],
        _ => &[],
    }
}

/// What a body is that is no JSON.
const fn takes_as_it_is(route: Route) -> Option<(&'static str, Option<&'static str>)> {
    match route {
        Route::PutBlob | Route::AppendBlob => Some((BLOB_MEDIA_TYPE, None)),
        Route::PutBlobs => Some((BINARY_MEDIA_TYPE, None)),
        Route::OpenLinkByForm => Some(("application/x-www-form-urlencoded", Some("LinkForm"))),
        _ => None,
    }
}

/// What an answer may be that is no JSON.
const fn gives_as_it_is(route: Route) -> Option<&'static str> {
    match route {
        Route::GetBlob | Route::OpenLink | Route::OpenLinkByForm => Some(BLOB_MEDIA_TYPE),
        Route::GetBlobs => Some(BINARY_MEDIA_TYPE),
        Route::Live | Route::Ready => Some("text/plain"),
        Route::OpenApi => Some(JSON_MEDIA_TYPE),
        _ => None,
    }
}

fn parameter(name: &str, schema: &str, place: ParameterIn, required: Required) -> Parameter {
    ParameterBuilder::new().name(name).parameter_in(place).required(required).schema(Some(reference(schema))).build()
}

fn content(schema: &str) -> Content {
    Content::new(Some(reference(schema)))
}

fn reference(schema: &str) -> RefOr<Schema> {
    RefOr::Ref(Ref::from_schema_name(schema))
}

const fn method(verb: Verb) -> HttpMethod {
    match verb {
        Verb::Get => HttpMethod::Get,
        Verb::Put => HttpMethod::Put,
        Verb::Post => HttpMethod::Post,
        Verb::Delete => HttpMethod::Delete,
        Verb::Head => HttpMethod::Head,
        Verb::Patch => HttpMethod::Patch,
    }
}
