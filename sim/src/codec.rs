//! What has a body goes through the bytes it would be on a wire, now one form and now the other: pushes and their verdicts,
//! pages and snapshots, asked for and given. What comes out must be what went in. What is said in an address or a header is
//! not: a pull's cursor, an acknowledgement, a log's bounds.

use syncline::call::{Call, Push, Reply};
use syncline::oplog::Snapshot;
use syncline::wire::{WireError, binary, json};

use crate::draw::Draw;
use crate::weather::Weather;

const PROMISE: &str = "what is said survives its bytes";

/// One in so many messages is said in JSON, which costs more.
const JSON_ONE_IN: u64 = 8;

/// The call as it arrives.
pub(crate) fn call(call: Call, draw: &mut Draw, weather: &Weather) -> Call {
    let push = match call {
        Call::Push(push) => push,
        Call::PutSnapshot { log, snapshot: given } => {
            return Call::PutSnapshot { log, snapshot: Box::new(snapshot(*given, draw, weather)) };
        }
        other => return other,
    };
    let said = draw.below(JSON_ONE_IN) == 0;
    let through = if said {
        json::PushJson::of(&push).and_then(|body| Ok(serde_json::to_vec(&body)?)).and_then(|bytes| {
            let body: json::PushJson = serde_json::from_slice(&bytes)?;
            body.read(push.log)
        })
    } else {
        binary::decode_push(push.log, binary::encode_push(&push))
    };
    Call::Push(same(push, through, weather, pushes_alike))
}

/// The answer as it arrives.
pub(crate) fn reply(reply: Reply, draw: &mut Draw, weather: &Weather) -> Reply {
    let said = draw.below(JSON_ONE_IN) == 0;
    match reply {
        Reply::Pushed(pushed) => {
            let through = if said {
                json::PushedJson::of(&pushed)
                    .and_then(|body| Ok(serde_json::to_vec(&body)?))
                    .and_then(|bytes| serde_json::from_slice::<json::PushedJson>(&bytes)?.read())
            } else {
                binary::decode_pushed(binary::encode_pushed(&pushed))
            };
            Reply::Pushed(same(pushed, through, weather, PartialEq::eq))
        }
        Reply::Pulled(page) => {
            let through = if said {
                json::PageJson::of(&page)
                    .and_then(|body| Ok(serde_json::to_vec(&body)?))
                    .and_then(|bytes| serde_json::from_slice::<json::PageJson>(&bytes)?.read())
            } else {
                binary::decode_page(binary::encode_page(&page))
            };
            Reply::Pulled(same(page, through, weather, PartialEq::eq))
        }
        Reply::Snapshot(Some(given)) => Reply::Snapshot(Some(Box::new(snapshot(*given, draw, weather)))),
        other => other,
    }
}

fn snapshot(given: Snapshot, draw: &mut Draw, weather: &Weather) -> Snapshot {
    let through = if draw.below(JSON_ONE_IN) == 0 {
        json::SnapshotJson::of(&given)
            .and_then(|body| Ok(serde_json::to_vec(&body)?))
            .and_then(|bytes| serde_json::from_slice::<json::SnapshotJson>(&bytes)?.read())
    } else {
        binary::decode_snapshot(binary::encode_snapshot(&given))
    };
    same(given, through, weather, PartialEq::eq)
}

fn same<T: std::fmt::Debug>(
    said: T,
    heard: Result<T, WireError>,
    weather: &Weather,
    alike: impl FnOnce(&T, &T) -> bool,
) -> T {
    match heard {
        Ok(heard) => {
            if !alike(&said, &heard) {
                weather.broke(PROMISE, format!("{said:?} became {heard:?}"));
            }
            heard
        }
        Err(error) => {
            weather.broke(PROMISE, format!("{said:?} does not read: {error}"));
            said
        }
    }
}

fn pushes_alike(said: &Push, heard: &Push) -> bool {
    let ops = |push: &Push| push.ops.iter().map(|op| op.bytes().clone()).collect::<Vec<_>>();
    let rest = |push: &Push| (push.log, push.request, push.cursor, push.atomic);
    rest(said) == rest(heard) && ops(said) == ops(heard)
}
