//! What passkeys promise, with time in the test's own hands and two servers over one store.

use std::sync::Arc;

use serde_json::{Value, json};
use syncline::id::BucketId;
use syncline::oplog::{ConflictPolicy, Rules, Schema};
use syncline::server::Server;
use syncline::store::{MemoryFanout, MemoryStore};
use syncline::time::{Env, Timestamp};

use super::PasskeyError;
use super::challenge::{Asked, PLACES, VALID_MS};
use super::enrol::PASSKEYS_MAX;
use super::party::Party;
use crate::dialect::super_productivity::Settings;
use crate::dialect::super_productivity::accounts::login::{Login, SignedIn};
use crate::dialect::super_productivity::accounts::mailed::Returned;
use crate::dialect::super_productivity::accounts::{Accounts, AuthError, Letter, PasswordCost};

#[path = "../../../../../tests/passkey/mod.rs"]
mod device;

use device::{Device, PRESENT, VERIFIED};

const ORIGIN: &str = "https://sync.example.org";
const NAME: &str = "sync.example.org";
const PASSWORD: &str = "correct horse battery";
const MINUTE: u64 = 60 * 1_000;

/// Two servers over one store, and a clock.
struct Rig {
    one: Accounts,
    two: Accounts,
    now: u64,
}

fn accounts(store: &Arc<MemoryStore>, public_url: &str) -> Accounts {
    let settings = Settings {
        token_secret: "0123456789abcdef0123456789abcdef".into(),
        password_cost: PasswordCost { memory_kib: 8, passes: 1 },
        public_url: public_url.into(),
        ..Settings::default()
    };
    let rules = Schema::new(Rules::of(ConflictPolicy::Causal));
    let server = Server::new(store.clone(), Arc::new(MemoryFanout::new()), rules);
    Accounts::new(server, BucketId::from_bytes([3; 16]), &settings).unwrap()
}

impl Rig {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let accounts = || accounts(&store, "https://sync.example.org/sp/");
        Self { one: accounts(), two: accounts(), now: 1_700_000_000_000 }
    }

    fn env(&self) -> Env {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).unwrap();
        Env { now: Timestamp::from_ms(self.now).unwrap(), entropy }
    }

    async fn offer(&self, email: &str) -> Value {
        self.one.passkey_offer(email, self.env()).await.unwrap()
    }

    async fn register(&self, email: &str, credential: &Value) -> Result<Option<Letter>, PasskeyError> {
        self.two.register_passkey(email, credential, self.env()).await
    }

    async fn question(&self, email: &str) -> Value {
        self.one.passkey_question(email, self.env()).await.unwrap()
    }

    async fn login(&self, email: &str, credential: &Value) -> Result<SignedIn, PasskeyError> {
        self.two.passkey_login(email, credential, self.env()).await
    }

    /// Somebody with a proved address and a passkey.
    async fn person(&self, email: &str) -> Device {
        let device = device();
        let letter = self.register(email, &device.make(&self.offer(email).await)).await.unwrap().unwrap();
        assert_eq!(self.one.verify_email(&token_in(&letter), self.env()).await.unwrap(), Returned::Fits);
        device
    }

    async fn enter(&self, email: &str, device: &mut Device) -> Result<SignedIn, PasskeyError> {
        let question = self.question(email).await;
        self.login(email, &device.sign(&question)).await
    }

    async fn recovery(&self, email: &str) -> String {
        token_in(&self.one.lost_passkey(email, self.env()).await.unwrap().unwrap())
    }

    async fn holds(&self, token: &str) -> bool {
        match self.two.authenticate(token, self.env().now).await {
            Ok(_) => true,
            Err(AuthError::Invalid) => false,
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn device() -> Device {
    Device::new(ORIGIN, NAME)
}

fn token_in(letter: &Letter) -> String {
    let (_, rest) = letter.text.split_once("?token=").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

fn challenge<T: std::fmt::Debug>(result: &Result<T, PasskeyError>) -> bool {
    matches!(result, Err(PasskeyError::Challenge))
}

fn credential<T: std::fmt::Debug>(result: &Result<T, PasskeyError>) -> bool {
    matches!(result, Err(PasskeyError::Credential))
}

fn stranger<T: std::fmt::Debug>(result: &Result<T, PasskeyError>) -> bool {
    matches!(result, Err(PasskeyError::SignIn))
}

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
    let minted =
        |filler: u8| super::party::Minted { challenge: vec![filler; 32], options: json!({}), state: json!({}) };
    let challenges = rig.one.challenges();
    challenges.ask(&asked, rig.env(), || Ok(minted(1))).await.unwrap();
    let full = challenges.ask(&asked, rig.env(), || Ok(minted(1))).await;
    assert!(matches!(full, Err(PasskeyError::Busy)), "a place is not taken from whoever has it: {full:?}");
    rig.now += VALID_MS;
    challenges.ask(&asked, rig.env(), || Ok(minted(1))).await.unwrap();
    assert_eq!(challenges.count().await, 1, "what ended gives its place up");
}

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
