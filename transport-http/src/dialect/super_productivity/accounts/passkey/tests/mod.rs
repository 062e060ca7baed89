//! What passkeys promise, with time in the test's own hands and two servers over one store.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use syncline::id::BucketId;
use syncline::oplog::{ConflictPolicy, Rules, Schema};
use syncline::server::Server;
use syncline::store::{MemoryFanout, MemoryStore};
use syncline::time::{Env, Timestamp};

use super::PasskeyError;
use super::challenge::{Asked, PLACES, VALID_MS};
use super::enrol::PASSKEYS_MAX;
use super::given::{Made, Used};
use super::party::Party;
use crate::dialect::super_productivity::Settings;
use crate::dialect::super_productivity::accounts::login::{Login, SignedIn};
use crate::dialect::super_productivity::accounts::mailed::Returned;
use crate::dialect::super_productivity::accounts::{Accounts, AuthError, Letter, PasswordCost};

#[path = "../../../../../../tests/passkey/mod.rs"]
mod device;

mod accounts;
mod challenges;
mod refused;

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
