//! Everything that is said goes through the bytes it would be on a wire, each form in turn; what comes out must be what
//! went in.

use syncline::call::{Call, Push, Reply};
use syncline::wire::{WireError, binary, json};

use crate::draw::Draw;
use crate::weather::Weather;

const PROMISE: &str = "what is said survives its bytes";

/// One in so many messages is also said in JSON, which costs more.
const JSON_ONE_IN: u64 = 8;

/// The call as it arrives.
pub(crate) fn call(call: Call, draw: &mut Draw, weather: &Weather) -> Call {
    let Call::Push(push) = call else { return call };
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
        Reply::Snapshot(Some(snapshot)) => {
            let through = if said {
                json::SnapshotJson::of(&snapshot)
                    .and_then(|body| Ok(serde_json::to_vec(&body)?))
                    .and_then(|bytes| serde_json::from_slice::<json::SnapshotJson>(&bytes)?.read())
            } else {
                binary::decode_snapshot(binary::encode_snapshot(&snapshot))
            };
            Reply::Snapshot(Some(same(snapshot, through.map(Box::new), weather, PartialEq::eq)))
        }
        other => other,
    }
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
