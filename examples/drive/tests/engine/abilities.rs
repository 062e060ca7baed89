//! Devices whose disks hold less than others'.

use std::fs;

use syncline::call::{Call, Reply};
use syncline::decide::NewTerms;
use syncline::files::Abilities;
use syncline::limits;
use syncline::tree::{NamePolicy, Retention};

use crate::house::{Drive, House, log};

/// A device with every name, and one that holds what Windows holds, and short paths.
async fn house() -> (House, Drive, Drive) {
    let house = House::new();
    let (a, mut w) = (house.drive("A", 1).await, house.drive("W", 2).await);
    let terms = NewTerms {
        names: NamePolicy::Lenient,
        file_bytes_max: limits::BLOB_BYTES_MAX,
        nodes_max: limits::TREE_NODES_MAX,
        retention: Retention::default(),
    };
    let set = house.way().call(Call::SetTreeTerms { log: log().log, terms }).await;
    assert!(matches!(set, Ok(Reply::TreeTerms(_))), "{set:?}");
    let engine = w.engine.take().unwrap();
    w.engine = Some(engine.with_abilities(Abilities { names: NamePolicy::Strict, path_bytes_max: 20 }));
    (house, a, w)
}

#[tokio::test(flavor = "multi_thread")]
async fn e35_e36_what_a_disk_cannot_hold_is_under_another_name_or_said_and_the_rest_is_synced() {
    let (_house, mut a, mut w) = house().await;
    a.write("a:b", "1");
    a.write("folder/far too long for it", "2");
    a.write("folder/fits", "3");
    a.sync().await;
    let synced = w.sync().await;
    let troubles: Vec<&str> = synced.troubles.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(troubles, ["folder/far too long for it"]);
    assert!(synced.troubles[0].1.contains("at most 20 bytes"), "{synced:?}");
    let here: Vec<String> = w.show().into_keys().collect();
    let [mapped, folder, fits] = here.as_slice() else { panic!("{here:?}") };
    assert!(mapped.starts_with("a_b~"), "{here:?}");
    assert_eq!((folder.as_str(), fits.as_str()), ("folder/", "folder/fits"));
    w.write(mapped, "edited");
    fs::rename(w.at("folder/fits"), w.at("folder/moved")).unwrap();
    assert_eq!(w.sync().await.told, 2);
    assert_eq!(w.sync().await.troubles.len(), 1, "it is said as long as it is so");
    a.sync().await;
    assert_eq!((a.read("a:b"), a.read("folder/moved")), ("edited".to_owned(), "3".to_owned()));
    assert_eq!(a.read("folder/far too long for it"), "2", "what one disk cannot hold is gone elsewhere");
    fs::rename(a.at("folder/far too long for it"), a.at("short")).unwrap();
    a.sync().await;
    assert!(w.sync().await.troubles.is_empty());
    assert_eq!(w.read("short"), "2");
}
