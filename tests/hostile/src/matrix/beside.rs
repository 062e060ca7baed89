//! The routes of the dialect, which no document names, times every class: who syncs there signed in there, its operator
//! administers the bucket, and a token of the one is nothing to the other.

use syncline::access::Access;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use super::classes::{Class, Comes, Logs};
use super::judge::said;
use super::world::{MARK, Person, World};

/// For who signed in.
const OWN: &[(&str, &str)] = &[
    ("POST", "/api/sync/ops"),
    ("GET", "/api/sync/ops?sinceSeq=0"),
    ("POST", "/api/sync/snapshot"),
    ("GET", "/api/sync/snapshot"),
    ("GET", "/api/sync/status"),
    ("GET", "/api/sync/restore-points"),
    ("GET", "/api/sync/restore/1"),
    ("DELETE", "/api/sync/data"),
    ("GET", "/api/sync/devices"),
    ("POST", "/api/replace-token"),
    ("DELETE", "/api/account"),
];

/// For who administers the bucket.
const ADMIN: &[(&str, &str)] = &[
    ("GET", "/v1/admin/super-productivity/accounts"),
    ("POST", "/v1/admin/super-productivity/accounts"),
    ("DELETE", "/v1/admin/super-productivity/accounts/00000000-0000-7000-8000-0000000000dd"),
    ("DELETE", "/v1/admin/super-productivity/accounts/00000000-0000-7000-8000-0000000000dd/data"),
    ("POST", "/v1/admin/super-productivity/accounts/00000000-0000-7000-8000-0000000000dd/token"),
    ("GET", "/v1/admin/super-productivity/accounts/00000000-0000-7000-8000-0000000000dd/devices"),
];

fn administers(class: &Class) -> bool {
    class.is_known() && !class.foreign && class.access == Access::Admin && class.logs == Logs::All
}

/// Tries all of them; how many pairs, and what was not as it must be.
pub(super) async fn tried(world: &World) -> (u64, Vec<String>) {
    let (mut cells, mut findings) = (0, Vec::new());
    for person in &world.people {
        let of_dialect = person.class.comes == Comes::OfDialect;
        // What its own account may do beyond looking is what the dialect's own tests are about.
        let routes = OWN.iter().filter(|(method, _)| !of_dialect || *method == "GET");
        let own = routes.map(|route| (route, own(person.class)));
        let admin = ADMIN.iter().map(|route| (route, admin(person.class)));
        for ((method, target), expected) in own.chain(admin) {
            cells += 1;
            let answer = ask(world, method, target, person).await;
            let (is, name) = (said(&answer), person.class.name);
            let fits = match expected {
                Some(expected) => is == expected,
                None => answer.status < 500 && !matches!(answer.status, 401 | 403),
            };
            if !fits || String::from_utf8_lossy(&answer.all).contains(MARK) {
                findings.push(format!("{method} {target} of {name}: {is}, and not {expected:?}"));
            }
        }
        if !of_dialect {
            cells += 1;
            let code = socket(world, person).await;
            if !matches!(code, Some(BAD_PARAMETERS | NOT_ALLOWED)) {
                findings.push(format!("the socket of {} was closed with {code:?}", person.class.name));
            }
        }
    }
    (cells, findings)
}

/// How a socket is closed whose token is none.
const BAD_PARAMETERS: u16 = 4001;
const NOT_ALLOWED: u16 = 4003;

/// Opens the dialect's socket, whose token stands in the address; the code that it is closed with.
async fn socket(world: &World, person: &Person) -> Option<u16> {
    let token = person.says.as_deref().unwrap_or("").trim_start_matches("Bearer ");
    // What a token of ours is made of may stand in an address as it is.
    let token = token.replace([' ', '='], "%20");
    let request = format!(
        "GET /api/sync/ws?clientId=B_aaaa&token={token} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut stream = world.rig.dial().await;
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut all = Vec::new();
    loop {
        let head = all.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        // A closing frame: its kind, its length, its code.
        if let Some([0x88, _, high, low, ..]) = head.and_then(|at| all.get(at..)) {
            return Some(u16::from_be_bytes([*high, *low]));
        }
        let read = tokio::time::timeout(crate::common::PATIENCE, stream.read_buf(&mut all)).await.ok()?;
        if read.ok()? == 0 {
            return None;
        }
    }
}

fn own(class: &Class) -> Option<&'static str> {
    (class.comes != Comes::OfDialect).then_some("401")
}

fn admin(class: &Class) -> Option<&'static str> {
    match (class.is_known(), administers(class)) {
        (false, _) => Some("401 UNAUTHENTICATED"),
        (true, false) => Some("403 FORBIDDEN"),
        (true, true) => None,
    }
}

async fn ask(world: &World, method: &str, target: &str, person: &Person) -> crate::common::Answer {
    let headers = [("authorization", person.says.as_deref().unwrap_or(""))];
    world.rig.request(method, target, &headers, b"").await
}
