//! Whole days of use: devices that edit, go away, come back, disagree, and show the same in the evening.

use serde_json::{Value, json};

use super::client::{Device, State};
use super::world::{World, on_both};

const PASSWORD: &str = "correct horse battery staple";

fn task(title: &str) -> Value {
    json!({"title": title, "isDone": false})
}

fn title<'a>(device: &'a Device, id: &str) -> Option<&'a str> {
    device.entity("TASK", id).map(|task| task["title"].as_str().expect("a title"))
}

fn state(tasks: &[(&str, &str)]) -> State {
    let tasks = tasks.iter().map(|(id, title)| ((*id).to_owned(), task(title)));
    [("TASK".to_owned(), tasks.collect())].into()
}

#[track_caller]
fn same(devices: &[&Device]) {
    for pair in devices.windows(2) {
        assert_eq!(pair[0].state(), pair[1].state(), "{} and {}", pair[0].id, pair[1].id);
        assert_eq!((pair[0].pending(), pair[1].pending()), (0, 0), "{} and {}", pair[0].id, pair[1].id);
    }
}

on_both!(an_encrypted_day, an_encrypted_day_of_two_devices_on_sqlite, an_encrypted_day_of_two_devices_on_two_servers);

async fn an_encrypted_day(world: &World) {
    let account = world.account("day").await;
    let mut desk = Device::new("desk", account.clone(), Some(PASSWORD));
    let mut phone = Device::new("phone", world.elsewhere(&account), Some(PASSWORD));

    // Morning: the desk writes more than one chunk, the phone joins.
    desk.put("PROJECT", "p1", json!({"title": "Garden"}));
    for number in 0..60 {
        desk.put("TASK", &format!("t{number}"), task(&format!("Task {number}")));
    }
    phone.confirms = false;
    desk.sync().await;
    phone.sync().await;
    assert!(phone.state().is_empty(), "a fresh device asks first");
    phone.confirms = true;
    phone.sync().await;
    same(&[&desk, &phone]);
    let page = account.page(0, 500).await;
    assert_eq!(page["latestSeq"], 61);
    assert!(!page.to_string().contains("Garden"), "a server never reads a payload");
    assert_eq!(page["ops"][0]["op"]["isPayloadEncrypted"], true);

    // Away: both edit, different tasks; and one task both.
    desk.put("TASK", "t1", task("From the desk"));
    phone.put("TASK", "t2", task("From the phone"));
    desk.put("TASK", "t3", task("Desk, earlier"));
    phone.now = desk.now + 60_000;
    phone.put("TASK", "t3", task("Phone, later"));
    desk.sync().await;
    phone.sync().await;
    assert!(phone.codes.contains(&"CONFLICT_CONCURRENT".to_owned()), "{:?}", phone.codes);
    assert_eq!(phone.recreated, 1, "the newer edit went out again");
    desk.sync().await;
    same(&[&desk, &phone]);
    assert_eq!(title(&desk, "t1"), Some("From the desk"));
    assert_eq!(title(&desk, "t2"), Some("From the phone"));
    assert_eq!(title(&desk, "t3"), Some("Phone, later"));

    // The later edit arrives first: the earlier one gives way, and so does a tie.
    phone.put("TASK", "t4", task("Phone, later"));
    desk.now = phone.now - 10_000;
    desk.put("TASK", "t4", task("Desk, earlier"));
    desk.now = phone.now;
    phone.put("TASK", "t5", task("First there"));
    desk.put("TASK", "t5", task("Tied"));
    phone.sync().await;
    desk.sync().await;
    phone.sync().await;
    same(&[&desk, &phone]);
    assert_eq!((title(&desk, "t4"), title(&desk, "t5")), (Some("Phone, later"), Some("First there")));

    // A newer edit brings back what was deleted; a newer deletion removes what was edited.
    desk.remove("TASK", "t6");
    phone.put("TASK", "t7", task("Too early"));
    phone.now = desk.now + 60_000;
    phone.put("TASK", "t6", task("Still needed"));
    desk.now = phone.now + 60_000;
    desk.remove("TASK", "t7");
    desk.sync().await;
    phone.sync().await;
    desk.sync().await;
    same(&[&desk, &phone]);
    assert_eq!((title(&desk, "t6"), title(&desk, "t7")), (Some("Still needed"), None));

    // A device with another password reads nothing and stays where it was.
    let mut stranger = Device::new("stranger", account.clone(), Some("wrong"));
    assert!(stranger.try_download().await.is_err());
    assert_eq!((stranger.cursor, stranger.state().len()), (0, 0));
    assert_eq!(account.status().await["devicesOnline"], 2);
}

on_both!(an_import, an_import_on_a_third_device_on_sqlite, an_import_on_a_third_device_on_two_servers);

async fn an_import(world: &World) {
    let account = world.account("import").await;
    let mut desk = Device::new("desk", account.clone(), Some(PASSWORD));
    let mut phone = Device::new("phone", world.elsewhere(&account), Some(PASSWORD));
    desk.put("TASK", "t1", task("One"));
    desk.sync().await;
    phone.sync().await;
    phone.put("TASK", "t1", task("Two"));
    phone.sync().await;
    desk.sync().await;

    // While the desk is away, a laptop that never saw the others brings a file.
    desk.put("TASK", "t1", task("Concurrent with the import"));
    desk.put("TASK", "t9", task("Concurrent, and not in the file"));
    let mut laptop = Device::new("laptop", account.clone(), Some(PASSWORD));
    laptop.import("SYNC_IMPORT", state(&[("t1", "From the file"), ("t2", "Also from it")]));
    laptop.sync().await;
    assert_eq!(laptop.cursor, 3);
    // The file replaces what they had, and what they did without having seen it.
    phone.sync().await;
    desk.sync().await;
    phone.sync().await;
    laptop.sync().await;
    same(&[&desk, &phone, &laptop]);
    assert_eq!((title(&desk, "t1"), title(&desk, "t9")), (Some("From the file"), None));

    // A tablet that joins now starts at the import, and is told the clocks which the skip hides.
    let page = account.page(0, 500).await;
    assert_eq!((&page["ops"][0]["serverSeq"], &page["latestSnapshotSeq"]), (&json!(3), &json!(3)), "{page}");
    assert_eq!(page["snapshotVectorClock"], json!({"desk": 1, "phone": 1, "laptop": 1}));
    let mut tablet = Device::new("tablet", world.elsewhere(&account), Some(PASSWORD));
    tablet.sync().await;
    tablet.now = phone.now + 120_000;
    tablet.put("TASK", "t1", task("From the tablet"));
    tablet.sync().await;
    desk.sync().await;
    phone.sync().await;
    laptop.sync().await;
    same(&[&desk, &phone, &laptop, &tablet]);
    assert_eq!(title(&desk, "t1"), Some("From the tablet"));

    // A second first import is refused, and the device joins instead.
    let mut late = Device::new("late", account.clone(), Some(PASSWORD));
    late.import("SYNC_IMPORT", state(&[("t1", "Never seen")]));
    late.sync().await;
    assert_eq!(late.codes, ["SYNC_IMPORT_EXISTS"]);
    late.sync().await;
    assert_eq!(late.pending(), 0);
    assert_eq!(late.state(), desk.state());
}

on_both!(a_restore, a_day_is_restored_to_any_point_on_sqlite, a_day_is_restored_to_any_point_on_two_servers);

async fn a_restore(world: &World) {
    let account = world.account("restore").await;
    let other = world.elsewhere(&account);
    let mut desk = Device::new("desk", account.clone(), None);
    desk.put("TASK", "t1", task("One"));
    desk.put("TASK", "t2", task("Two"));
    desk.sync().await;
    desk.import("BACKUP_IMPORT", state(&[("t3", "Three")]));
    desk.sync().await;
    desk.put("TASK", "t3", json!({"isDone": true}));
    desk.remove("TASK", "t3");
    desk.put("TASK", "t4", task("Four"));
    desk.sync().await;

    let points = other.get("/api/sync/restore-points").await.ok();
    assert_eq!(points["restorePoints"].as_array().map(Vec::len), Some(1), "{points}");
    let point = &points["restorePoints"][0];
    assert_eq!((&point["serverSeq"], &point["clientId"]), (&json!(3), &json!("desk")), "{point}");
    let at = async |seq: u64| other.get(&format!("/api/sync/restore/{seq}")).await.ok()["state"].clone();
    assert_eq!(at(1).await, json!({"TASK": {"t1": task("One")}}));
    assert_eq!(at(2).await["TASK"].as_object().map(serde_json::Map::len), Some(2));
    assert_eq!(at(3).await, json!({"TASK": {"t3": task("Three")}}), "a full state replaces");
    assert_eq!(at(4).await["TASK"]["t3"], json!({"title": "Three", "isDone": true}));
    assert_eq!(at(5).await, json!({"TASK": {}}));
    let now = account.get("/api/sync/snapshot").await.ok();
    assert_eq!((&now["serverSeq"], &now["state"]), (&json!(6), &json!({"TASK": {"t4": task("Four")}})));
    // A snapshot that is kept changes no answer.
    assert_eq!(at(1).await, json!({"TASK": {"t1": task("One")}}));
    assert_eq!(at(6).await, now["state"]);

    // What is encrypted cannot be replayed, and says so.
    let mut sealed = Device::new("sealed", account.clone(), Some(PASSWORD));
    sealed.sync().await;
    sealed.put("TASK", "t8", task("Hidden"));
    sealed.sync().await;
    assert_eq!(sealed.pending(), 0);
    let refused = other.get("/api/sync/restore/7").await;
    let expected = (400, &json!("ENCRYPTED_OPS_NOT_SUPPORTED"));
    assert_eq!((refused.status, &refused.body["errorCode"]), expected, "{} {:?}", refused.body, sealed.codes);
    assert_eq!(at(6).await, now["state"]);
}

on_both!(
    a_new_server,
    devices_fill_a_server_that_lost_everything_on_sqlite,
    devices_fill_a_server_that_lost_everything_on_two_servers
);

async fn a_new_server(world: &World) {
    let account = world.account("lost").await;
    let mut desk = Device::new("desk", account.clone(), Some(PASSWORD));
    let mut phone = Device::new("phone", world.elsewhere(&account), Some(PASSWORD));
    for number in 0..5 {
        desk.put("TASK", &format!("t{number}"), task("Kept on the devices"));
    }
    desk.sync().await;
    phone.sync().await;
    assert_eq!(account.delete("/api/sync/data").await.ok(), json!({"success": true}));
    assert_eq!(account.delete("/api/sync/data").await.ok(), json!({"success": true}));
    assert_eq!(account.status().await["latestSeq"], 0);
    desk.sync().await;
    desk.put("TASK", "t9", task("After"));
    desk.sync().await;
    assert_eq!(account.page(0, 500).await["latestSeq"], 2, "numbering starts again");
    phone.sync().await;
    phone.sync().await;
    assert_eq!(phone.gaps, 1);
    same(&[&desk, &phone]);
    assert_eq!(title(&phone, "t9"), Some("After"));
    assert_eq!(phone.state()["TASK"].len(), 6);
}

on_both!(a_new_token, a_new_token_reads_everything_again_on_sqlite, a_new_token_reads_everything_again_on_two_servers);

async fn a_new_token(world: &World) {
    let account = world.account("token").await;
    let mut desk = Device::new("desk", account.clone(), None);
    desk.put("TASK", "t1", task("One"));
    desk.sync().await;
    let replaced = account.post("/api/replace-token", &json!({})).await.ok();
    let token = replaced["token"].as_str().expect("a token").to_owned();
    let elsewhere = world.elsewhere(&account);
    let dead = elsewhere.get("/api/sync/status").await;
    assert_eq!((dead.status, dead.body), (401, json!({"error": "Invalid token"})), "dead at once, on every server");
    desk.api.token = token;
    desk.cursor = 0;
    desk.put("TASK", "t2", task("Two"));
    desk.sync().await;
    assert_eq!((desk.cursor, desk.pending(), desk.state()["TASK"].len()), (2, 0, 2));
}

on_both!(
    a_full_quota,
    a_full_account_makes_room_from_restore_points_on_sqlite,
    a_full_account_makes_room_from_restore_points_on_two_servers,
    "--sp-quota-bytes",
    "300000"
);

async fn a_full_quota(world: &World) {
    let account = world.account("quota").await;
    let mut desk = Device::new("desk", account.clone(), Some(PASSWORD));
    let mut phone = Device::new("phone", world.elsewhere(&account), Some(PASSWORD));
    desk.put("TASK", "t1", task("One"));
    desk.sync().await;
    phone.sync().await;
    // Backups pile up until the oldest give way, with everything before them.
    let big = "x".repeat(50_000);
    for number in 0..6 {
        desk.import("BACKUP_IMPORT", state(&[("t1", &format!("{number}{big}"))]));
        desk.sync().await;
        assert_eq!((desk.pending(), &desk.codes), (0, &Vec::new()), "backup {number}");
    }
    let status = account.status().await;
    assert!(status["storageUsedBytes"].as_u64() <= status["storageQuotaBytes"].as_u64(), "{status}");
    assert_eq!((&status["storageQuotaBytes"], &status["latestSeq"]), (&json!(300_000), &json!(7)), "numbers go on");
    let points = account.get("/api/sync/restore-points").await.ok();
    assert!((1..6).contains(&points["restorePoints"].as_array().unwrap().len()), "{points}");
    // Who was away meanwhile learns it through a gap, and is served from the newest full state.
    phone.sync().await;
    same(&[&desk, &phone]);

    // When one is left that cannot give way, the op stays on the device and nothing else breaks.
    phone.put("NOTE", "n1", json!({"text": "x".repeat(280_000)}));
    phone.sync().await;
    assert!(phone.codes.iter().any(|code| code == "STORAGE_QUOTA_EXCEEDED"), "{:?}", phone.codes);
    assert_eq!(phone.pending(), 1);
    let mut large = super::ops::run("d9", 1, 1);
    large[0]["payload"] = "x".repeat(300_000).into();
    let full = account.upload("d9", &large).await;
    assert_eq!((full.status, &full.body["errorCode"]), (413, &json!("STORAGE_QUOTA_EXCEEDED")));
    assert_eq!((&full.body["storageQuotaBytes"], &full.body["autoCleanupAttempted"]), (&json!(300_000), &json!(true)));
    assert!(full.body["cleanupStats"]["deletedOps"].is_u64(), "{}", full.body);
    desk.put("TASK", "t2", task("Small"));
    desk.sync().await;
    assert_eq!(desk.pending(), 0);
}
