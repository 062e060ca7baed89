//! What accounts promise, with time in the test's own hands.

use std::sync::Arc;

use syncline::id::BucketId;
use syncline::oplog::{ConflictPolicy, Rules, Schema};
use syncline::server::Server;
use syncline::store::{MemoryFanout, MemoryStore};
use syncline::time::{Env, Timestamp};

use super::login::{FAILURES_MAX, LOCKED_MS, Login, SignedIn};
use super::mailed::Returned;
use super::{Accounts, AuthError, Letter, PasswordCost};
use crate::dialect::super_productivity::{Settings, SettingsError};

const BUCKET: BucketId = BucketId::from_bytes([3; 16]);
const PASSWORD: &str = "correct horse battery";
const MINUTE: u64 = 60 * 1_000;

fn settings() -> Settings {
    Settings {
        token_secret: "0123456789abcdef0123456789abcdef".into(),
        password_cost: PasswordCost { memory_kib: 8, passes: 1 },
        public_url: "https://sync.example.org/".into(),
        ..Settings::default()
    }
}

fn server(store: &Arc<MemoryStore>) -> Server {
    Server::new(store.clone(), Arc::new(MemoryFanout::new()), Schema::new(Rules::of(ConflictPolicy::Causal)))
}

/// Two servers over one store, and a clock.
struct Rig {
    one: Accounts,
    two: Accounts,
    now: u64,
}

impl Rig {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let accounts = || Accounts::new(server(&store), BUCKET, &settings()).unwrap();
        Self { one: accounts(), two: accounts(), now: 1_700_000_000_000 }
    }

    fn env(&self) -> Env {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy).unwrap();
        Env { now: Timestamp::from_ms(self.now).unwrap(), entropy }
    }

    async fn registered(&self, email: &str) -> String {
        let letter = self.one.register(email, PASSWORD, self.env()).await.unwrap();
        token_in(&letter.unwrap())
    }

    async fn verified(&self, email: &str) {
        let token = self.registered(email).await;
        assert_eq!(self.one.verify_email(&token, self.env()).await.unwrap(), Returned::Fits);
    }

    async fn login(&self, email: &str, password: &str) -> Login {
        self.one.login(email, password, self.env()).await.unwrap()
    }

    async fn signed_in(&self, email: &str, password: &str) -> SignedIn {
        match self.login(email, password).await {
            Login::In(who) => who,
            other => panic!("{other:?}"),
        }
    }

    async fn holds(&self, token: &str) -> bool {
        match self.two.authenticate(token, self.env().now).await {
            Ok(_) => true,
            Err(AuthError::Invalid) => false,
            Err(error) => panic!("{error:?}"),
        }
    }
}

fn token_in(letter: &Letter) -> String {
    let (_, rest) = letter.text.split_once("?token=").unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_secret_that_is_too_short_does_not_start() {
    let store = Arc::new(MemoryStore::new());
    let with = |secret: &str| {
        let settings = Settings { token_secret: secret.into(), ..settings() };
        Accounts::new(server(&store), BUCKET, &settings).map(drop)
    };
    assert_eq!(with(&"x".repeat(31)), Err(SettingsError::Secret));
    assert_eq!(with(&"x".repeat(32)), Ok(()));
}

#[tokio::test]
async fn an_account_is_proved_by_mail_before_it_signs_in() {
    let rig = Rig::new();
    let letter = rig.one.register("a@b.de", PASSWORD, rig.env()).await.unwrap().unwrap();
    assert_eq!(letter.to, "a@b.de");
    assert!(letter.text.contains("https://sync.example.org/verify-email?token=1."), "{}", letter.text);
    assert_eq!(rig.login("a@b.de", PASSWORD).await, Login::Unverified);
    let token = token_in(&letter);
    assert_eq!(rig.two.verify_email(&token, rig.env()).await.unwrap(), Returned::Fits, "on another server");
    assert_eq!(rig.one.verify_email(&token, rig.env()).await.unwrap(), Returned::Unknown, "once");
    let who = rig.signed_in("a@b.de", PASSWORD).await;
    assert_eq!((who.id, who.email.as_str()), (1, "a@b.de"));
    assert!(rig.holds(&who.token).await);
}

#[tokio::test]
async fn a_verification_ends_after_a_day_and_can_be_sent_again() {
    let mut rig = Rig::new();
    let first = rig.registered("a@b.de").await;
    rig.now += 24 * 60 * MINUTE;
    assert_eq!(rig.one.verify_email(&first, rig.env()).await.unwrap(), Returned::Expired);
    let second = rig.registered("a@b.de").await;
    assert_eq!(rig.one.verify_email(&first, rig.env()).await.unwrap(), Returned::Unknown);
    rig.now += 24 * 60 * MINUTE - 1;
    assert_eq!(rig.one.verify_email(&second, rig.env()).await.unwrap(), Returned::Fits);
    for bad in ["", "1", "1.", "2.abc", "x.y"] {
        assert_eq!(rig.one.verify_email(bad, rig.env()).await.unwrap(), Returned::Unknown, "{bad}");
    }
}

#[tokio::test]
async fn nobody_confirms_a_password_that_somebody_else_chose_before() {
    let rig = Rig::new();
    rig.one.register("a@b.de", "the attacker's guess", rig.env()).await.unwrap().unwrap();
    rig.verified("a@b.de").await;
    assert_eq!(rig.login("a@b.de", "the attacker's guess").await, Login::Wrong);
    rig.signed_in("a@b.de", PASSWORD).await;
}

#[tokio::test]
async fn registering_costs_one_hash_whether_the_address_is_new_waiting_or_taken() {
    let rig = Rig::new();
    let mut costs = Vec::new();
    for step in ["new", "waiting", "taken"] {
        if step == "taken" {
            rig.verified("a@b.de").await;
        }
        let before = rig.one.hashing.done();
        let letter = rig.one.register("a@b.de", "another password of mine", rig.env()).await.unwrap();
        costs.push((step, rig.one.hashing.done() - before, letter.is_some()));
    }
    assert_eq!(costs, [("new", 1, true), ("waiting", 1, true), ("taken", 1, false)]);
    rig.signed_in("a@b.de", PASSWORD).await;
}

#[tokio::test]
async fn signing_in_costs_one_hash_however_it_ends() {
    let rig = Rig::new();
    rig.verified("a@b.de").await;
    rig.registered("waiting@b.de").await;
    rig.verified("locked@b.de").await;
    for _ in 0..FAILURES_MAX {
        rig.login("locked@b.de", "wrong").await;
    }
    let cases = [
        ("nobody@b.de", PASSWORD, Login::Wrong),
        ("a@b.de", "wrong", Login::Wrong),
        ("waiting@b.de", PASSWORD, Login::Unverified),
        ("locked@b.de", PASSWORD, Login::Locked),
    ];
    for (email, password, outcome) in cases {
        let before = rig.one.hashing.done();
        assert_eq!(rig.login(email, password).await, outcome, "{email}");
        assert_eq!(rig.one.hashing.done() - before, 1, "{email}");
    }
    let before = rig.one.hashing.done();
    rig.signed_in("a@b.de", PASSWORD).await;
    assert_eq!(rig.one.hashing.done() - before, 1);
}

#[tokio::test]
async fn five_wrong_passwords_close_the_account_for_a_quarter_of_an_hour_on_every_server() {
    let mut rig = Rig::new();
    rig.verified("a@b.de").await;
    for _ in 0..FAILURES_MAX - 1 {
        assert_eq!(rig.login("a@b.de", "wrong").await, Login::Wrong);
    }
    rig.signed_in("a@b.de", PASSWORD).await;
    for _ in 0..FAILURES_MAX {
        assert_eq!(rig.login("a@b.de", "wrong").await, Login::Wrong, "success began the count anew");
    }
    assert_eq!(rig.two.login("a@b.de", PASSWORD, rig.env()).await.unwrap(), Login::Locked);
    rig.now += LOCKED_MS - 1;
    assert_eq!(rig.login("a@b.de", PASSWORD).await, Login::Locked);
    rig.now += 1;
    rig.signed_in("a@b.de", PASSWORD).await;
}

#[tokio::test]
async fn guesses_at_the_same_moment_are_counted_one_by_one() {
    let rig = Arc::new(Rig::new());
    rig.verified("a@b.de").await;
    let guess = |rig: Arc<Rig>| tokio::spawn(async move { rig.login("a@b.de", "wrong").await });
    let guesses: Vec<_> = (0..12).map(|_| guess(Arc::clone(&rig))).collect();
    let mut wrong = 0;
    for guess in guesses {
        wrong += u32::from(guess.await.unwrap() == Login::Wrong);
    }
    assert_eq!(wrong, FAILURES_MAX);
}

#[tokio::test]
async fn a_forgotten_password_is_set_once_and_ends_every_token() {
    let mut rig = Rig::new();
    rig.verified("a@b.de").await;
    let old = rig.signed_in("a@b.de", PASSWORD).await.token;
    assert_eq!(rig.one.forgot_password("nobody@b.de", rig.env()).await.unwrap(), None);
    let letter = rig.one.forgot_password("a@b.de", rig.env()).await.unwrap().unwrap();
    let token = token_in(&letter);
    assert_eq!(rig.one.reset_password("1.wrong", "another password", rig.env()).await.unwrap(), Returned::Unknown);
    assert!(rig.holds(&old).await);
    let reset = rig.two.reset_password(&token, "another password", rig.env()).await.unwrap();
    assert_eq!(reset, Returned::Fits);
    assert!(!rig.holds(&old).await);
    assert_eq!(rig.login("a@b.de", PASSWORD).await, Login::Wrong);
    rig.signed_in("a@b.de", "another password").await;
    assert_eq!(rig.one.reset_password(&token, PASSWORD, rig.env()).await.unwrap(), Returned::Unknown, "once");

    let late = token_in(&rig.one.forgot_password("a@b.de", rig.env()).await.unwrap().unwrap());
    rig.now += 60 * MINUTE;
    let before = rig.one.hashing.done();
    assert_eq!(rig.one.reset_password(&late, PASSWORD, rig.env()).await.unwrap(), Returned::Expired);
    assert_eq!(rig.one.hashing.done(), before, "a link that does not fit buys no work");
}

#[tokio::test]
async fn a_magic_link_signs_in_once_for_a_quarter_of_an_hour_and_only_a_proved_address() {
    let mut rig = Rig::new();
    let unproved = rig.registered("a@b.de").await;
    assert_eq!(rig.one.magic_link("a@b.de", rig.env()).await.unwrap(), None);
    assert_eq!(rig.one.magic_link("nobody@b.de", rig.env()).await.unwrap(), None);
    rig.one.verify_email(&unproved, rig.env()).await.unwrap();

    let token = token_in(&rig.one.magic_link("a@b.de", rig.env()).await.unwrap().unwrap());
    assert_eq!(rig.two.magic_login("1.wrong", rig.env()).await.unwrap(), None);
    let who = rig.two.magic_login(&token, rig.env()).await.unwrap().unwrap();
    assert!(rig.holds(&who.token).await);
    assert_eq!(rig.one.magic_login(&token, rig.env()).await.unwrap(), None, "once");

    let late = token_in(&rig.one.magic_link("a@b.de", rig.env()).await.unwrap().unwrap());
    rig.now += 15 * MINUTE;
    assert_eq!(rig.one.magic_login(&late, rig.env()).await.unwrap(), None);
}

#[tokio::test]
async fn a_magic_link_used_on_two_servers_at_once_signs_in_one() {
    let rig = Rig::new();
    rig.verified("a@b.de").await;
    let token = token_in(&rig.one.magic_link("a@b.de", rig.env()).await.unwrap().unwrap());
    let (one, two) = tokio::join!(rig.one.magic_login(&token, rig.env()), rig.two.magic_login(&token, rig.env()));
    assert_eq!(usize::from(one.unwrap().is_some()) + usize::from(two.unwrap().is_some()), 1);
}

#[tokio::test]
async fn replacing_a_token_kills_all_older_ones_at_once() {
    let rig = Rig::new();
    rig.verified("a@b.de").await;
    let first = rig.signed_in("a@b.de", PASSWORD).await;
    let second = rig.signed_in("a@b.de", PASSWORD).await;
    let new = rig.one.replace_token(first.id, rig.env()).await.unwrap().unwrap();
    assert!(!rig.holds(&first.token).await);
    assert!(!rig.holds(&second.token).await);
    assert!(rig.holds(&new.token).await);
}

#[tokio::test]
async fn a_token_ends_after_seven_days() {
    let mut rig = Rig::new();
    rig.verified("a@b.de").await;
    let who = rig.signed_in("a@b.de", PASSWORD).await;
    rig.now += 7 * 24 * 60 * MINUTE - 1_000;
    assert!(rig.holds(&who.token).await);
    rig.now += 1_000;
    assert!(!rig.holds(&who.token).await);
}

#[tokio::test]
async fn a_deleted_account_is_gone_and_its_number_is_not_used_again() {
    let rig = Rig::new();
    rig.verified("a@b.de").await;
    let who = rig.signed_in("a@b.de", PASSWORD).await;
    let log = rig.one.records.log(who.id);
    let operator = syncline::access::Caller::operator(BUCKET);
    let create = syncline::call::Call::CreateLog { log: log.log, sealing: syncline::oplog::Sealing::Optional };
    rig.one.server.handle(&operator, create, rig.env()).await.unwrap();

    assert!(rig.one.delete(who.id, rig.env()).await.unwrap());
    assert!(!rig.holds(&who.token).await);
    let status = syncline::call::Call::Status(log.log);
    let refused = rig.one.server.handle(&operator, status, rig.env()).await.unwrap_err();
    assert_eq!(refused.code, syncline::call::ErrorCode::LogNotFound);
    assert_eq!(rig.login("a@b.de", PASSWORD).await, Login::Wrong);
    assert!(!rig.one.delete(who.id, rig.env()).await.unwrap());

    rig.verified("a@b.de").await;
    assert_eq!(rig.signed_in("a@b.de", PASSWORD).await.id, 2);
    assert!(!rig.holds(&who.token).await);
}

#[tokio::test]
async fn fault_a_deletion_that_was_cut_off_lets_nobody_in_and_can_be_finished() {
    let rig = Rig::new();
    rig.verified("a@b.de").await;
    let who = rig.signed_in("a@b.de", PASSWORD).await;
    // What a crash after the first write leaves.
    let marked = rig.one.records.change(who.id, rig.env(), |record| {
        record.deleting = true;
        super::record::Change::Keep(())
    });
    marked.await.unwrap().unwrap();
    assert!(!rig.holds(&who.token).await);
    assert_eq!(rig.login("a@b.de", PASSWORD).await, Login::Wrong);
    assert_eq!(rig.one.forgot_password("a@b.de", rig.env()).await.unwrap(), None);
    assert_eq!(rig.one.magic_link("a@b.de", rig.env()).await.unwrap(), None);
    assert_eq!(rig.one.register("a@b.de", PASSWORD, rig.env()).await.unwrap(), None);
    assert_eq!(rig.one.replace_token(who.id, rig.env()).await.unwrap(), None);
    assert!(rig.two.delete(who.id, rig.env()).await.unwrap());
    rig.verified("a@b.de").await;
}

#[tokio::test]
async fn one_address_is_one_account_however_many_register_it_at_once() {
    let rig = Arc::new(Rig::new());
    let register = |rig: Arc<Rig>, email: String| {
        tokio::spawn(async move { rig.two.register(&email, PASSWORD, rig.env()).await.unwrap() })
    };
    let same: Vec<_> = (0..8).map(|_| register(Arc::clone(&rig), "a@b.de".into())).collect();
    let other: Vec<_> = (0..8).map(|n| register(Arc::clone(&rig), format!("{n}@b.de"))).collect();
    for registered in same.into_iter().chain(other) {
        registered.await.unwrap();
    }
    let all = rig.one.records.list(0, 100).await.unwrap();
    let mut ids: Vec<u64> = all.iter().map(|record| record.id).collect();
    ids.dedup();
    assert_eq!((all.len(), ids.len()), (9, 9));
    assert!(rig.one.records.by_email("a@b.de").await.unwrap().is_some());
}

#[tokio::test]
async fn a_record_holds_no_secret_that_opens_anything() {
    let rig = Rig::new();
    let token = rig.registered("a@b.de").await;
    let record = rig.one.records.by_id(1).await.unwrap().unwrap();
    let text = serde_json::to_string(&record).unwrap();
    let (_, secret) = token.split_once('.').unwrap();
    assert!(!text.contains(secret) && !text.contains(PASSWORD), "{text}");
}
