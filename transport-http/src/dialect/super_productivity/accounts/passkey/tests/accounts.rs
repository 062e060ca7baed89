//! Passkeys and the accounts that they open.

use super::*;

#[test]
fn a_public_address_makes_a_party_only_when_browsers_would_take_it_for_one() {
    for good in ["https://a.example", "https://a.example:8443/x/", "http://localhost:7110", "http://sp.localhost"] {
        assert!(Party::new(good).is_some(), "{good}");
    }
    for bad in ["http://a.example", "http://127.0.0.1:7110", "https://127.0.0.1", "https://[::1]", "a.example", ""] {
        assert!(Party::new(bad).is_none(), "{bad}");
    }
}

#[tokio::test]
async fn without_a_public_name_passkeys_are_off_and_nothing_is_kept() {
    let store = Arc::new(MemoryStore::new());
    let accounts = accounts(&store, "http://127.0.0.1:7110");
    let env = Rig::new().env();
    assert!(matches!(accounts.passkey_offer("a@b.de", env).await, Err(PasskeyError::Off)));
    assert!(matches!(accounts.passkey_question("a@b.de", env).await, Err(PasskeyError::Off)));
    assert!(matches!(accounts.lost_passkey("a@b.de", env).await, Err(PasskeyError::Off)));
    assert_eq!(accounts.challenges().count().await, 0);
}

#[tokio::test]
async fn a_passkey_opens_its_account_once_the_address_is_proved_on_any_server() {
    let rig = Rig::new();
    let mut device = device();
    let offer = rig.offer("a@b.de").await;
    let letter = rig.register("a@b.de", &device.make(&offer)).await.unwrap().unwrap();
    assert!(letter.text.contains("https://sync.example.org/sp/verify-email?token=1."), "{}", letter.text);
    let early = rig.enter("a@b.de", &mut device).await;
    assert!(matches!(early, Err(PasskeyError::Unverified)), "{early:?}");
    assert_eq!(rig.two.verify_email(&token_in(&letter), rig.env()).await.unwrap(), Returned::Fits);
    let who = rig.enter("a@b.de", &mut device).await.unwrap();
    assert_eq!((who.id, who.email.as_str()), (1, "a@b.de"));
    assert!(rig.holds(&who.token).await);
    assert_eq!(rig.one.login("a@b.de", "", rig.env()).await.unwrap(), Login::Wrong, "there is no password");
}

#[tokio::test]
async fn options_tell_nobody_who_is_known() {
    let rig = Rig::new();
    rig.person("a@b.de").await;
    let bare = |mut options: Value| {
        options.as_object_mut().unwrap().remove("challenge");
        if let Some(user) = options.get_mut("user") {
            *user = json!({});
        }
        options
    };
    assert_eq!(bare(rig.question("a@b.de").await), bare(rig.question("nobody@b.de").await));
    assert_eq!(bare(rig.offer("a@b.de").await), bare(rig.offer("nobody@b.de").await));
    let taken = rig.register("a@b.de", &device().make(&rig.offer("a@b.de").await)).await;
    assert!(taken.unwrap().is_none(), "no mail, the same answer");
    assert!(rig.one.lost_passkey("nobody@b.de", rig.env()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_mail_confirms_only_the_passkey_or_password_that_was_sent_with_it() {
    let rig = Rig::new();
    let (mut thief, mut owner) = (device(), device());
    let first = rig.register("a@b.de", &thief.make(&rig.offer("a@b.de").await)).await.unwrap().unwrap();
    let second = rig.register("a@b.de", &owner.make(&rig.offer("a@b.de").await)).await.unwrap().unwrap();
    assert_eq!(rig.one.verify_email(&token_in(&first), rig.env()).await.unwrap(), Returned::Unknown);
    assert_eq!(rig.one.verify_email(&token_in(&second), rig.env()).await.unwrap(), Returned::Fits);
    assert!(stranger(&rig.enter("a@b.de", &mut thief).await));
    assert!(rig.enter("a@b.de", &mut owner).await.is_ok());

    let mut thief = device();
    rig.register("c@d.de", &thief.make(&rig.offer("c@d.de").await)).await.unwrap().unwrap();
    let letter = rig.one.register("c@d.de", PASSWORD, rig.env()).await.unwrap().unwrap();
    assert_eq!(rig.one.verify_email(&token_in(&letter), rig.env()).await.unwrap(), Returned::Fits);
    assert!(stranger(&rig.enter("c@d.de", &mut thief).await), "sent before the password");

    rig.one.register("e@f.de", PASSWORD, rig.env()).await.unwrap();
    let letter = rig.register("e@f.de", &device().make(&rig.offer("e@f.de").await)).await.unwrap().unwrap();
    assert_eq!(rig.one.verify_email(&token_in(&letter), rig.env()).await.unwrap(), Returned::Fits);
    assert_eq!(rig.one.login("e@f.de", PASSWORD, rig.env()).await.unwrap(), Login::Wrong, "sent before the passkey");

    let mut thief = device();
    rig.register("g@h.de", &thief.make(&rig.offer("g@h.de").await)).await.unwrap().unwrap();
    let letter = rig.one.forgot_password("g@h.de", rig.env()).await.unwrap().unwrap();
    assert_eq!(rig.one.reset_password(&token_in(&letter), PASSWORD, rig.env()).await.unwrap(), Returned::Fits);
    assert!(stranger(&rig.enter("g@h.de", &mut thief).await), "sent before the mail that proved the address");
}

#[tokio::test]
async fn a_credential_is_one_accounts_only() {
    let rig = Rig::new();
    let first = rig.person("a@b.de").await;
    let again = rig.register("c@d.de", &first.make(&rig.offer("c@d.de").await)).await.unwrap();
    assert!(again.is_none(), "the same answer, no mail");
    assert!(rig.two.records.by_email("c@d.de").await.unwrap().is_none());
    // What was given up with its account can be used again.
    assert!(rig.one.delete(1, rig.env()).await.unwrap());
    assert!(rig.register("c@d.de", &first.make(&rig.offer("c@d.de").await)).await.unwrap().is_some());
}

#[tokio::test]
async fn an_account_has_several_passkeys_up_to_a_bound() {
    let rig = Rig::new();
    let mut first = rig.person("a@b.de").await;
    let mut second = device();
    let options = rig.one.passkey_addition(1, rig.env()).await.unwrap();
    assert_eq!(options["excludeCredentials"].as_array().unwrap().len(), 1, "the same device is not asked again");
    rig.two.add_passkey(1, &second.make(&options), rig.env()).await.unwrap();
    for device in [&mut first, &mut second] {
        assert_eq!(rig.enter("a@b.de", device).await.unwrap().id, 1);
    }
    let options = rig.one.passkey_addition(1, rig.env()).await.unwrap();
    assert!(credential(&rig.two.add_passkey(1, &second.make(&options), rig.env()).await), "held already");
    let options = rig.one.passkey_addition(1, rig.env()).await.unwrap();
    assert!(challenge(&rig.two.add_passkey(2, &device().make(&options), rig.env()).await), "another account");
    for _ in 2..PASSKEYS_MAX {
        let options = rig.one.passkey_addition(1, rig.env()).await.unwrap();
        rig.two.add_passkey(1, &device().make(&options), rig.env()).await.unwrap();
    }
    assert!(matches!(rig.one.passkey_addition(1, rig.env()).await, Err(PasskeyError::Full)));
}

#[tokio::test]
async fn a_lost_passkey_is_replaced_by_mail_and_everything_of_before_ends() {
    let mut rig = Rig::new();
    let mut lost = rig.person("a@b.de").await;
    let old = rig.enter("a@b.de", &mut lost).await.unwrap();
    let token = rig.recovery("a@b.de").await;
    let offer = rig.one.recovery_offer(&token, rig.env()).await.unwrap();
    assert_eq!(offer["email"], "a@b.de");
    let mut new = device();
    let made = new.make(&offer["options"]);
    rig.two.recover_passkey(&token, &made, rig.env()).await.unwrap();
    let again = rig.two.recover_passkey(&token, &made, rig.env()).await;
    assert!(matches!(again, Err(PasskeyError::Link)), "{again:?}");
    assert!(stranger(&rig.enter("a@b.de", &mut lost).await));
    assert!(!rig.holds(&old.token).await);
    let who = rig.enter("a@b.de", &mut new).await.unwrap();
    assert!(rig.holds(&who.token).await);

    let token = rig.recovery("a@b.de").await;
    rig.now += 60 * MINUTE;
    assert!(matches!(rig.one.recovery_offer(&token, rig.env()).await, Err(PasskeyError::Link)), "an hour");
    for bad in ["", "1.x", "9.x", "x"] {
        assert!(matches!(rig.one.recovery_offer(bad, rig.env()).await, Err(PasskeyError::Link)), "{bad}");
    }
}

#[tokio::test]
async fn only_a_proved_address_with_a_passkey_can_recover_one() {
    let rig = Rig::new();
    rig.register("a@b.de", &device().make(&rig.offer("a@b.de").await)).await.unwrap().unwrap();
    assert!(rig.one.lost_passkey("a@b.de", rig.env()).await.unwrap().is_none(), "not proved");
    let letter = rig.one.register("c@d.de", PASSWORD, rig.env()).await.unwrap().unwrap();
    rig.one.verify_email(&token_in(&letter), rig.env()).await.unwrap();
    assert!(rig.one.lost_passkey("c@d.de", rig.env()).await.unwrap().is_none(), "a password instead");
}
