//! What editors, people and other programs do to files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::house::{Drive, House};

async fn alike(house: &House, drives: &mut [&mut Drive]) {
    let _ = house;
    for _ in 0..2 {
        for drive in drives.iter_mut() {
            let synced = drive.sync().await;
            assert!(synced.troubles.is_empty(), "{synced:?}");
        }
    }
    let first = drives[0].show();
    for drive in drives.iter_mut() {
        let synced = drive.sync().await;
        assert_eq!((synced.told, synced.done), (0, 0), "what is alike is told again");
        assert_eq!(drive.show(), first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_one_device_appears_on_the_other() {
    let house = House::new();
    let (mut a, mut b) = (house.drive("A", 1).await, house.drive("B", 2).await);
    a.write("notes/today.txt", "milk");
    a.write("run.sh", "#!/bin/sh");
    fs::set_permissions(a.at("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("notes/today.txt", a.at("today")).unwrap();
    fs::create_dir(a.at("empty")).unwrap();
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    a.write("large.bin", &large);
    alike(&house, &mut [&mut a, &mut b]).await;
    assert_eq!(b.read("notes/today.txt"), "milk");
    assert_eq!(fs::read(b.at("large.bin")).unwrap(), large);
    b.write("notes/today.txt", "milk and bread");
    fs::rename(b.at("notes"), b.at("lists")).unwrap();
    alike(&house, &mut [&mut b, &mut a]).await;
    assert_eq!(a.read("lists/today.txt"), "milk and bread");
}
