//! Challenges: once, in time, for one thing, in bounded room.

use super::*;

#[tokio::test]
async fn a_challenge_is_answered_once() {
    let rig = Rig::new();
    let mut device = rig.person("a@b.de").await;
    let question = rig.question("a@b.de").await;
    let answer = device.sign(&question);
    assert!(rig.login("a@b.de", &answer).await.is_ok());
    assert!(challenge(&rig.login("a@b.de", &answer).await), "replayed");
    assert!(challenge(&rig.login("a@b.de", &device.sign(&question)).await), "signed anew");
    let offer = rig.offer("c@d.de").await;
    let made = self::device().make(&offer);
    assert!(rig.register("c@d.de", &made).await.is_ok());
    assert!(challenge(&rig.register("c@d.de", &made).await));
}

#[tokio::test]
async fn a_challenge_is_answered_once_when_two_servers_are_asked_at_once() {
    let rig = Rig::new();
    for _ in 0..20 {
        let offer = rig.offer("a@b.de").await;
        let made = device().make(&offer);
        let one = rig.one.register_passkey("a@b.de", &made, rig.env());
        let two = rig.two.register_passkey("a@b.de", &made, rig.env());
        let (one, two) = tokio::join!(one, two);
        assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "{one:?} {two:?}");
        assert!(challenge(&one) || challenge(&two));
    }
}

#[tokio::test]
async fn a_challenge_ends_after_five_minutes() {
    let mut rig = Rig::new();
    let mut device = rig.person("a@b.de").await;
    let (first, second) = (rig.question("a@b.de").await, rig.question("a@b.de").await);
    rig.now += VALID_MS - 1;
    assert!(rig.login("a@b.de", &device.sign(&first)).await.is_ok());
    rig.now += 1;
    assert!(challenge(&rig.login("a@b.de", &device.sign(&second)).await));
}

#[tokio::test]
async fn a_challenge_is_for_one_thing_and_one_address() {
    let rig = Rig::new();
    let mut device = rig.person("a@b.de").await;
    let question = rig.question("a@b.de").await;
    let signed = device.sign(&question);
    assert!(challenge(&rig.login("x@b.de", &signed).await), "another address");
    assert!(challenge(&rig.register("a@b.de", &self::device().make(&question)).await), "another thing");
    assert!(rig.login("a@b.de", &signed).await.is_ok(), "and still good for its own");
    let never = json!({ "challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" });
    assert!(challenge(&rig.login("a@b.de", &device.sign(&never)).await));
}

#[tokio::test]
async fn challenges_that_nobody_answers_are_swept_and_others_stay() {
    let mut rig = Rig::new();
    for _ in 0..150 {
        rig.question("a@b.de").await;
    }
    rig.now += MINUTE;
    rig.question("a@b.de").await;
    assert_eq!(rig.one.challenges().count().await, 151);
    assert_eq!(rig.two.sweep_challenges(Timestamp::from_ms(rig.now).unwrap()).await.unwrap(), 0);
    rig.now += VALID_MS - MINUTE;
    assert_eq!(rig.two.sweep_challenges(Timestamp::from_ms(rig.now).unwrap()).await.unwrap(), 150);
    assert_eq!(rig.one.challenges().count().await, 1);
}

#[tokio::test]
async fn challenges_have_only_so_many_places() {
    let mut rig = Rig::new();
    // Two bytes of a digest name the place, so this is a bound and not a hope.
    assert_eq!(PLACES, 65_536);
    let asked = Asked::SignIn("a@b.de".into());
    let minted = |filler: u8| crate::dialect::super_productivity::accounts::passkey::party::Minted {
        challenge: vec![filler; 32],
        options: json!({}),
        state: json!({}),
    };
    let challenges = rig.one.challenges();
    challenges.ask(&asked, rig.env(), || Ok(minted(1))).await.unwrap();
    let full = challenges.ask(&asked, rig.env(), || Ok(minted(1))).await;
    assert!(matches!(full, Err(PasskeyError::Busy)), "a place is not taken from whoever has it: {full:?}");
    rig.now += VALID_MS;
    challenges.ask(&asked, rig.env(), || Ok(minted(1))).await.unwrap();
    assert_eq!(challenges.count().await, 1, "what ended gives its place up");
}
