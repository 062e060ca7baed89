//! An account's whole story on one server, and on two that share a store: whatever one of them began another finishes,
//! and what one ended is ended for all.

use serde_json::json;

use super::api::{Answer, Api};
use super::ops::run;
use super::postbox::Postbox;
use super::world::World;

const FIRST: &str = "correct horse battery";
const SECOND: &str = "staple of another kind";
const LOCKED: &str = "Account temporarily locked due to too many failed login attempts. Please try again later.";

/// Two doors to the same accounts, and where their mails arrive.
struct House {
    a: Api,
    b: Api,
    mails: Postbox,
}

impl House {
    fn of(world: &World, mails: Postbox) -> Self {
        let a = world.front_door();
        Self { b: world.elsewhere(&a), a, mails }
    }

    async fn signed_in(&self, api: &Api, email: &str, password: &str) -> Api {
        let answer = login(api, email, password).await.ok();
        assert_eq!(answer["user"]["email"], email);
        Api::new(&api.base, answer["token"].as_str().expect("a token"))
    }
}

async fn login(api: &Api, email: &str, password: &str) -> Answer {
    api.post("/api/login", &json!({"email": email, "password": password})).await
}

#[track_caller]
fn refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!((answer.status, &answer.body), (status, &json!({"error": error})));
}

/// Both servers know the token, or neither.
async fn is_alive(api: &Api, house: &House) -> bool {
    let at_a = api.at(&house.a.base).get("/api/sync/status").await.status;
    let at_b = api.at(&house.b.base).get("/api/sync/status").await.status;
    assert_eq!(at_a, at_b);
    assert!(matches!(at_a, 200 | 401), "{at_a}");
    at_a == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_lives_its_life_on_sqlite() {
    let mails = Postbox::open().await;
    let world = World::sqlite(&mails.flags());
    a_life(&House::of(&world, mails)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_lives_its_life_between_two_servers() {
    let mails = Postbox::open().await;
    let world = World::two_on_postgres(&mails.flags()).await;
    a_life(&House::of(&world, mails)).await;
}

async fn a_life(house: &House) {
    let (a, b, email) = (&house.a, &house.b, "ann@example.org");

    // Registered here, confirmed there; once.
    let wanted = json!({"email": email, "password": FIRST, "termsAccepted": true});
    let said = a.post("/api/register", &wanted).await;
    assert_eq!(said.status, 201);
    refused(&login(b, email, FIRST).await, 401, "Email not verified");
    let link = json!({"token": house.mails.token(email).await});
    refused(&b.post("/api/verify-email", &json!({"token": "1.x"})).await, 400, "Invalid verification token");
    assert_eq!(b.post("/api/verify-email", &link).await.ok(), json!({"message": "Email verified successfully"}));
    refused(&a.post("/api/verify-email", &link).await, 400, "Invalid verification token");
    let again = b.post("/api/register", &wanted).await;
    assert_eq!((again.status, again.body), (201, said.body), "nobody learns who is here");

    // Signed in there, at work here.
    let first = house.signed_in(b, email, FIRST).await;
    assert_eq!(first.at(&a.base).upload("d1", &run("d1", 1, 3)).await.codes(), [None, None, None]);
    assert_eq!(first.status().await["latestSeq"], 3);

    // Five wrong passwords close the account, wherever they were tried.
    for attempt in 0..5 {
        let door = if attempt % 2 == 0 { a } else { b };
        refused(&login(door, email, "a wrong password").await, 401, "Invalid credentials");
    }
    for door in [a, b] {
        refused(&login(door, email, FIRST).await, 401, LOCKED);
    }
    refused(&login(b, "nobody@example.org", FIRST).await, 401, "Invalid credentials");
    assert!(is_alive(&first, house).await, "who is in stays in");

    // Asked for here, set there: the lock and every token before are gone.
    let known = a.post("/api/forgot-password", &json!({"email": email})).await;
    let unknown = a.post("/api/forgot-password", &json!({"email": "nobody@example.org"})).await;
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
    let anew = json!({"token": house.mails.token(email).await, "password": SECOND});
    assert_eq!(b.post("/api/reset-password", &anew).await.status, 200);
    refused(&a.post("/api/reset-password", &anew).await, 400, "Invalid reset token");
    refused(&login(a, email, FIRST).await, 401, "Invalid credentials");
    assert!(!is_alive(&first, house).await);
    let second = house.signed_in(a, email, SECOND).await;

    // A link to sign in is good at one of two servers that are asked at the same moment.
    a.post("/api/login/magic-link", &json!({"email": email})).await.ok();
    let link = json!({"token": house.mails.token(email).await});
    let both =
        tokio::join!(a.post("/api/login/magic-link/verify", &link), b.post("/api/login/magic-link/verify", &link));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "{both:?}");

    // A token traded for another ends all others.
    let traded = second.at(&b.base).post("/api/replace-token", &json!({})).await.ok();
    let third = Api::new(&a.base, traded["token"].as_str().expect("a token"));
    assert!(!is_alive(&second, house).await);
    assert!(is_alive(&third, house).await);
    assert_eq!(third.status().await["latestSeq"], 3, "the data is the account's, not the token's");

    // Deleted here, gone there; whoever comes next with the address begins with nothing.
    assert_eq!(third.delete("/api/account").await.ok(), json!({"success": true}));
    assert!(!is_alive(&third, house).await);
    refused(&login(b, email, SECOND).await, 401, "Invalid credentials");
    b.post("/api/register", &wanted).await.ok();
    let link = json!({"token": house.mails.token(email).await});
    a.post("/api/verify-email", &link).await.ok();
    let heir = house.signed_in(b, email, FIRST).await;
    let status = heir.at(&a.base).status().await;
    assert_eq!((&status["latestSeq"], &status["storageUsedBytes"]), (&json!(0), &json!(0)));
    assert!(!is_alive(&third, house).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_registers_at_two_servers_at_once_is_one_account() {
    let mails = Postbox::open().await;
    let world = World::two_on_postgres(&mails.flags()).await;
    let house = House::of(&world, mails);
    for round in 0..5 {
        let email = format!("twin{round}@example.org");
        let wanted = json!({"email": email, "password": FIRST});
        let asked = [&house.a, &house.b, &house.a, &house.b].map(|door| door.post("/api/register", &wanted));
        let answers = futures_util::future::join_all(asked).await;
        assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    }
    let listed = world.as_operator().get("/v1/admin/super-productivity/accounts").await.ok();
    let accounts = listed["accounts"].as_array().expect("accounts").iter();
    let mut emails: Vec<&str> = accounts.filter_map(|one| one["email"].as_str()).collect();
    emails.sort_unstable();
    assert_eq!(emails, (0..5).map(|round| format!("twin{round}@example.org")).collect::<Vec<_>>());
}
