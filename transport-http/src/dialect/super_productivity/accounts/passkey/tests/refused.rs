//! What is no use of a passkey, or no passkey at all.

use super::*;

#[tokio::test]
async fn a_passkey_for_another_site_is_refused() {
    let rig = Rig::new();
    for origin in [
        "https://evil.example.org",
        "https://x.sync.example.org",
        "http://sync.example.org",
        "https://sync.example.org:8443",
        "https://sync.example.org.evil.org",
    ] {
        let made = Device::new(origin, NAME).make(&rig.offer("a@b.de").await);
        assert!(credential(&rig.register("a@b.de", &made).await), "{origin}");
    }
    let made = Device::new(ORIGIN, "example.org").make(&rig.offer("a@b.de").await);
    assert!(credential(&rig.register("a@b.de", &made).await));

    let mut device = rig.person("a@b.de").await;
    device.origin = "https://evil.example.org".into();
    assert!(stranger(&rig.enter("a@b.de", &mut device).await), "wrong origin");
    device.origin = ORIGIN.into();
    device.rp_id = "evil.example.org".into();
    assert!(stranger(&rig.enter("a@b.de", &mut device).await), "wrong name");
    device.rp_id = NAME.into();
    assert!(rig.enter("a@b.de", &mut device).await.is_ok());
}

#[tokio::test]
async fn a_signature_of_another_key_opens_nothing() {
    let rig = Rig::new();
    let victim = rig.person("a@b.de").await;
    let mut thief = rig.person("c@d.de").await;
    // Under the victim's credential, and under an unknown one.
    let mut forged = Device { id: victim.id.clone(), ..thief.clone() };
    assert!(stranger(&rig.enter("a@b.de", &mut forged).await));
    forged.id = vec![9; 20];
    assert!(stranger(&rig.enter("a@b.de", &mut forged).await));
    let who = rig.enter("a@b.de", &mut thief).await.unwrap();
    assert_eq!(who.email, "c@d.de", "a key opens its own account, whatever address was typed");
}

#[tokio::test]
async fn a_bent_answer_is_refused() {
    let rig = Rig::new();
    let mut device = rig.person("a@b.de").await;
    for field in ["clientDataJSON", "authenticatorData", "signature"] {
        let question = rig.question("a@b.de").await;
        let mut answer = device.sign(&question);
        answer["response"][field] = json!("AAAA");
        assert!(rig.login("a@b.de", &answer).await.is_err(), "{field}");
        answer["response"].as_object_mut().unwrap().remove(field);
        assert!(stranger(&rig.login("a@b.de", &answer).await), "{field}");
    }
    let question = rig.question("a@b.de").await;
    device.flags = 0;
    assert!(stranger(&rig.login("a@b.de", &device.sign(&question)).await), "nobody touched it");
    for junk in [json!({}), json!({ "id": 7 }), json!({ "id": "", "type": "public-key", "response": {} })] {
        assert!(stranger(&rig.login("a@b.de", &junk).await));
        assert!(credential(&rig.register("a@b.de", &junk).await));
    }
    let mut made = self::device().make(&rig.offer("x@b.de").await);
    made["response"]["attestationObject"] = json!("oA");
    assert!(credential(&rig.register("x@b.de", &made).await));
}

#[tokio::test]
async fn a_counter_that_goes_back_is_a_copied_key() {
    let rig = Rig::new();
    let mut device = rig.person("a@b.de").await;
    let mut copy = device.clone();
    device.counter = 7;
    assert!(rig.enter("a@b.de", &mut device).await.is_ok());
    copy.counter = 5;
    assert!(stranger(&rig.enter("a@b.de", &mut copy).await), "back");
    copy.counter = 7;
    assert!(stranger(&rig.enter("a@b.de", &mut copy).await), "the same again");
    assert!(rig.enter("a@b.de", &mut device).await.is_ok(), "the one that counts on goes on");
}

#[tokio::test]
async fn of_two_uses_with_one_count_at_two_servers_one_is_refused() {
    let rig = Rig::new();
    let mut device = rig.person("a@b.de").await;
    for _ in 0..10 {
        let (first, second) = (rig.question("a@b.de").await, rig.question("a@b.de").await);
        let (first, second) = (device.sign(&first), device.sign_again(&second));
        let one = rig.one.passkey_login("a@b.de", &first, rig.env());
        let two = rig.two.passkey_login("a@b.de", &second, rig.env());
        let (one, two) = tokio::join!(one, two);
        assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "{one:?} {two:?}");
    }
}

#[tokio::test]
async fn a_device_that_does_not_count_goes_on_signing_in() {
    let rig = Rig::new();
    let device = rig.person("a@b.de").await;
    for _ in 0..3 {
        let question = rig.question("a@b.de").await;
        assert!(rig.login("a@b.de", &device.sign_again(&question)).await.is_ok());
    }
}

#[tokio::test]
async fn a_key_made_with_a_screen_lock_is_believed_only_with_it() {
    let rig = Rig::new();
    let mut locked = rig.person("a@b.de").await;
    locked.flags = PRESENT;
    assert!(stranger(&rig.enter("a@b.de", &mut locked).await));
    locked.flags = VERIFIED;
    assert!(rig.enter("a@b.de", &mut locked).await.is_ok());
    let mut plain = Device { flags: PRESENT, ..device() };
    let letter = rig.register("c@d.de", &plain.make(&rig.offer("c@d.de").await)).await.unwrap().unwrap();
    rig.one.verify_email(&token_in(&letter), rig.env()).await.unwrap();
    assert!(rig.enter("c@d.de", &mut plain).await.is_ok(), "without one it may be used");
}

/// Every byte that a browser hands over is the attacker's to choose.
#[tokio::test]
async fn no_bent_byte_is_taken_for_a_passkey_or_stops_the_server() {
    let rig = Rig::new();
    let party = rig.one.party().unwrap();
    let mut device = rig.person("a@b.de").await;
    let kept = rig.one.records.by_email("a@b.de").await.unwrap().unwrap().passkeys.remove(0);
    let (offer, question) = (party.offer(&[1; 32], "a@b.de", &[]).unwrap(), party.question().unwrap());
    let (made, used) = (self::device().make(&offer.options), device.sign(&question.options));
    let now = rig.env().now;
    let takes_new =
        |given: &Value| Made::read(given).is_some_and(|made| party.made(&made, offer.state.clone(), now).is_ok());
    let takes_use = |given: &Value| {
        Used::read(given).is_some_and(|used| party.used(&used, &question.state, &kept, now).unwrap().is_some())
    };
    assert!(takes_new(&made) && takes_use(&used));
    for (field, given) in [("attestationObject", &made), ("authenticatorData", &used), ("signature", &used)] {
        let bytes = URL_SAFE_NO_PAD.decode(given["response"][field].as_str().unwrap()).unwrap();
        let mut bent = given.clone();
        let mut taken = 0;
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                bent["response"][field] = json!(URL_SAFE_NO_PAD.encode(&bytes));
                taken += usize::from(if field == "attestationObject" { takes_new(&bent) } else { takes_use(&bent) });
            }
            bent["response"][field] = json!(URL_SAFE_NO_PAD.encode(&bytes[..at]));
            assert!(!(if field == "attestationObject" { takes_new(&bent) } else { takes_use(&bent) }), "{field} {at}");
        }
        // A new key that nothing attests may be made by another device, of another model, with another count.
        assert!(field == "attestationObject" || taken == 0, "{field}: {taken}");
    }
}
