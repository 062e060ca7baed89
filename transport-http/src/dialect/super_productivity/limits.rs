//! How often one address and one account may ask.
//!
//! A limit is a number of requests in a window that begins with the first of them, as the reference server counts; so
//! the numbers it announces (`x-ratelimit-*`) are exact. Counts live in this process: they protect it from floods, and
//! nothing else rests on them; several servers multiply them.
//!
//! What must always hold: counting takes bounded memory whoever asks; an address is not counted when it is not known.
//!
//! Next: `edge` is what else stands around every request.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use syncline::time::Timestamp;

use super::SuperProductivity;
use super::answer::Refused;
use crate::server::env;

const MINUTE_MS: u64 = 60 * 1_000;
/// Keys that are counted one by one; those beyond share one count.
const KEYS_MAX: usize = 65_536;
/// Where proxies say whom they ask for.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A number of requests in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Limit {
    most: u32,
    window_ms: u64,
}

impl Limit {
    const fn per_quarter(most: u32) -> Self {
        Self { most, window_ms: 15 * MINUTE_MS }
    }

    const fn per_minute(most: u32) -> Self {
        Self { most, window_ms: MINUTE_MS }
    }

    /// Uploads of one account.
    const UPLOADS: Self = Self::per_minute(100);

    /// Requests of one address to a route, and the group it is counted in.
    fn of_address(method: &Method, route: &str) -> (&'static str, Self) {
        match (method.as_str(), route) {
            ("POST", "/api/sync/ops") => ("upload", Self::per_minute(100)),
            ("GET", "/api/sync/ops") => ("download", Self::per_minute(200)),
            // Of newer clients, which come back after every loss of the network.
            ("GET", "/api/sync/ws") => ("news", Self::per_minute(120)),
            ("POST", "/api/register") => ("register", Self::per_quarter(5)),
            ("POST", "/api/verify-email") => ("verify-email", Self::per_quarter(20)),
            ("POST", "/api/login") => ("login", Self::per_quarter(10)),
            ("POST", "/api/forgot-password") => ("forgot-password", Self::per_quarter(5)),
            ("POST", "/api/reset-password") => ("reset-password", Self::per_quarter(10)),
            ("POST", "/api/login/magic-link") => ("magic-link", Self::per_quarter(5)),
            ("POST", "/api/login/magic-link/verify") => ("magic-link-verify", Self::per_quarter(10)),
            ("POST", "/api/register/passkey/options") => ("passkey-register", Self::per_quarter(10)),
            ("POST", "/api/register/passkey/verify") => ("passkey-register-verify", Self::per_quarter(10)),
            ("POST", "/api/login/passkey/options") => ("passkey-login", Self::per_quarter(20)),
            ("POST", "/api/login/passkey/verify") => ("passkey-login-verify", Self::per_quarter(20)),
            ("POST", "/api/recover/passkey") => ("passkey-recover", Self::per_quarter(5)),
            ("POST", "/api/recover/passkey/options") => ("passkey-recover-options", Self::per_quarter(10)),
            ("POST", "/api/recover/passkey/complete") => ("passkey-recover-complete", Self::per_quarter(10)),
            ("POST", "/api/account/passkey/options") => ("passkey-add", Self::per_quarter(10)),
            ("POST", "/api/account/passkey/verify") => ("passkey-add-verify", Self::per_quarter(10)),
            ("POST", "/api/replace-token") => ("replace-token", Self::per_quarter(5)),
            ("DELETE", "/api/account") => ("delete-account", Self::per_quarter(3)),
            _ => ("others", Self::per_quarter(100)),
        }
    }

    fn window(self) -> &'static str {
        if self.window_ms == MINUTE_MS { "1 minute" } else { "15 minutes" }
    }
}

/// What a count says to one more request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    allowed: bool,
    remaining: u32,
    /// Milliseconds until the window ends.
    reset_ms: u64,
}

#[derive(Debug)]
struct Window {
    ends_at: Timestamp,
    used: u32,
}

/// Counts by key.
#[derive(Debug)]
struct Counts<K> {
    windows: HashMap<K, Window>,
    overflow: K,
    keys_max: usize,
}

impl<K: Eq + Hash + Copy> Counts<K> {
    fn new(overflow: K, keys_max: usize) -> Self {
        Self { windows: HashMap::new(), overflow, keys_max }
    }

    fn count(&mut self, key: K, limit: Limit, now: Timestamp) -> Counted {
        let mut key = key;
        if self.windows.len() >= self.keys_max && !self.windows.contains_key(&key) {
            self.windows.retain(|_, window| now < window.ends_at);
            if self.windows.len() >= self.keys_max {
                key = self.overflow;
            }
        }
        let fresh = || Window { ends_at: now.plus_ms(limit.window_ms), used: 0 };
        let window = self.windows.entry(key).or_insert_with(fresh);
        // A window that ends later than one that begins now was begun by a clock that has gone back since.
        if now >= window.ends_at || window.ends_at > now.plus_ms(limit.window_ms) {
            *window = fresh();
        }
        let allowed = window.used < limit.most;
        if allowed {
            window.used += 1;
        }
        let reset_ms = window.ends_at.ms().saturating_sub(now.ms());
        Counted { allowed, remaining: limit.most - window.used, reset_ms }
    }
}

type AddressKey = (&'static str, IpAddr);

/// The counts of one server process.
#[derive(Debug)]
pub(crate) struct Limits {
    addresses: Mutex<Counts<AddressKey>>,
    uploads: Mutex<Counts<u64>>,
    on: bool,
    trusted_proxies: usize,
}

impl Limits {
    /// `on` is off where tests run: then nobody is ever refused.
    pub(super) fn new(on: bool, trusted_proxies: usize) -> Self {
        let nowhere = ("overflow", IpAddr::from([0; 16]));
        Self {
            addresses: Mutex::new(Counts::new(nowhere, KEYS_MAX)),
            uploads: Mutex::new(Counts::new(0, KEYS_MAX)),
            on,
            trusted_proxies,
        }
    }

    /// Whether the account may upload once more now; counts it.
    pub(super) fn may_upload(&self, account: u64, now: Timestamp) -> bool {
        !self.on || lock(&self.uploads).count(account, Limit::UPLOADS, now).allowed
    }

    /// Forgets what an account uploaded: its data was deleted.
    pub(super) fn forget_uploads(&self, account: u64) {
        lock(&self.uploads).windows.remove(&account);
    }

    fn count_address(&self, key: AddressKey, limit: Limit, now: Timestamp) -> Counted {
        lock(&self.addresses).count(key, limit, now)
    }
}

fn lock<T>(counts: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Counts are whole after every step, so a panic elsewhere leaves them usable.
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Around every route: counts its address, and says so.
pub(super) async fn guard(State(state): State<SuperProductivity>, request: Request, next: Next) -> Response {
    let limits = state.limits();
    let Some(address) = limits.on.then(|| address(&request, limits.trusted_proxies)).flatten() else {
        return next.run(request).await;
    };
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    if !route.starts_with("/api/") {
        return next.run(request).await;
    }
    let (group, limit) = Limit::of_address(request.method(), route);
    let counted = limits.count_address((group, network(address)), limit, env::now());
    let mut response = if counted.allowed { next.run(request).await } else { too_many(limit) };
    announce(response.headers_mut(), limit, counted);
    response
}

fn too_many(limit: Limit) -> Response {
    let status = StatusCode::TOO_MANY_REQUESTS;
    let message = format!("Rate limit exceeded, retry in {}", limit.window());
    let body = json!({ "statusCode": status.as_u16(), "error": "Too Many Requests", "message": message });
    Refused::new(status, body).into_response()
}

fn announce(headers: &mut HeaderMap, limit: Limit, counted: Counted) {
    let seconds = counted.reset_ms.div_ceil(1_000);
    headers.insert(HeaderName::from_static("x-ratelimit-limit"), limit.most.into());
    headers.insert(HeaderName::from_static("x-ratelimit-remaining"), counted.remaining.into());
    headers.insert(HeaderName::from_static("x-ratelimit-reset"), seconds.into());
    if !counted.allowed {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// Who asks: the peer, or what the outermost of so many trusted proxies says.
fn address(request: &Request, trusted_proxies: usize) -> Option<IpAddr> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    if trusted_proxies == 0 {
        return peer;
    }
    let values = request.headers().get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<&str> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    // Only the last entries are our proxies' own; what stands before them anybody can claim.
    let claimed = named.len().checked_sub(trusted_proxies).and_then(|at| named.get(at));
    claimed.and_then(|text| text.parse().ok()).or(peer)
}

/// One customer of IPv6 holds a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_ms(1_000_000 + ms).unwrap()
    }

    #[test]
    fn a_window_holds_exactly_its_number_and_ends_at_its_millisecond() {
        let limits = Limits::new(true, 0);
        for upload in 0..100 {
            assert!(limits.may_upload(7, at(upload)), "{upload}");
        }
        assert!(!limits.may_upload(7, at(100)));
        assert!(!limits.may_upload(7, at(59_999)));
        assert!(limits.may_upload(8, at(59_999)), "another account has its own");
        assert!(limits.may_upload(7, at(60_000)));
    }

    #[test]
    fn deleting_data_forgets_the_uploads() {
        let limits = Limits::new(true, 0);
        while limits.may_upload(7, at(0)) {}
        limits.forget_uploads(7);
        assert!(limits.may_upload(7, at(0)));
    }

    #[test]
    fn where_tests_run_nobody_is_refused() {
        let limits = Limits::new(false, 0);
        assert!((0..1_000).all(|_| limits.may_upload(7, at(0))));
    }

    #[test]
    fn remaining_and_reset_count_down() {
        let mut counts = Counts::new(0_u8, 10);
        let limit = Limit { most: 2, window_ms: 1_000 };
        let counted = |allowed, remaining, reset_ms| Counted { allowed, remaining, reset_ms };
        assert_eq!(counts.count(1, limit, at(0)), counted(true, 1, 1_000));
        assert_eq!(counts.count(1, limit, at(400)), counted(true, 0, 600));
        assert_eq!(counts.count(1, limit, at(999)), counted(false, 0, 1));
        assert_eq!(counts.count(1, limit, at(1_000)), counted(true, 1, 1_000));
    }

    #[test]
    fn a_clock_that_goes_back_locks_nobody_out() {
        let mut counts = Counts::new(0_u8, 10);
        let limit = Limit { most: 1, window_ms: 1_000 };
        assert!(counts.count(1, limit, at(500_000)).allowed);
        assert!(counts.count(1, limit, at(0)).allowed);
    }

    #[test]
    fn keys_beyond_the_most_share_one_count() {
        let mut counts = Counts::new(u32::MAX, 3);
        let limit = Limit { most: 1, window_ms: 1_000 };
        assert!((0..3).all(|key| counts.count(key, limit, at(0)).allowed));
        assert!(counts.count(3, limit, at(1)).allowed);
        assert!(!counts.count(4, limit, at(1)).allowed, "the shared one is used up");
        assert_eq!(counts.windows.len(), 4);
        assert!(counts.count(5, limit, at(1_000)).allowed, "what ended makes room");
        assert_eq!(counts.windows.len(), 2);
    }

    #[test]
    fn each_route_has_the_limit_of_the_contract() {
        let of = |method: &str, route: &str| {
            let (_, limit) = Limit::of_address(&method.parse().unwrap(), route);
            (limit.most, limit.window())
        };
        assert_eq!(of("POST", "/api/sync/ops"), (100, "1 minute"));
        assert_eq!(of("GET", "/api/sync/ops"), (200, "1 minute"));
        assert_eq!(of("GET", "/api/sync/status"), (100, "15 minutes"));
        assert_eq!(of("POST", "/api/login"), (10, "15 minutes"));
        assert_eq!(of("DELETE", "/api/account"), (3, "15 minutes"));
        let passkeys = [
            ("register/passkey/options", 10),
            ("register/passkey/verify", 10),
            ("login/passkey/options", 20),
            ("login/passkey/verify", 20),
            ("recover/passkey", 5),
            ("recover/passkey/options", 10),
            ("recover/passkey/complete", 10),
        ];
        for (route, most) in passkeys {
            assert_eq!(of("POST", &format!("/api/{route}")), (most, "15 minutes"), "{route}");
        }
    }

    #[test]
    fn only_trusted_proxies_say_who_asks() {
        let request = |forwarded: &str| {
            let mut request = Request::new(axum::body::Body::empty());
            request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 5))));
            request.headers_mut().insert(FORWARDED_FOR, forwarded.parse().unwrap());
            request
        };
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert_eq!(address(&request("6.6.6.6, 1.2.3.4"), 0), ip("10.0.0.1"));
        assert_eq!(address(&request("6.6.6.6, 1.2.3.4"), 1), ip("1.2.3.4"));
        assert_eq!(address(&request("6.6.6.6, 1.2.3.4, 10.0.0.9"), 2), ip("1.2.3.4"));
        assert_eq!(address(&request("1.2.3.4"), 2), ip("10.0.0.1"), "fewer than trusted: the peer");
        assert_eq!(address(&request("nonsense"), 1), ip("10.0.0.1"));
    }

    #[test]
    fn neighbours_in_ipv6_are_one_network() {
        let net = |text: &str| network(text.parse().unwrap());
        assert_eq!(net("2001:db8:1:2::1"), net("2001:db8:1:2:ffff::9"));
        assert_ne!(net("2001:db8:1:2::1"), net("2001:db8:1:3::1"));
        assert_eq!(net("::ffff:1.2.3.4"), net("1.2.3.4"));
    }
}
