//! Real servers for tests: started in a temporary folder, stopped and removed with whoever started them.
//!
//! What must hold: a missing server fails the test that needs it, in a sentence that names the remedy; nothing is
//! left running, not even when the test process is killed. See [`guard`] for how.
//!
//! Next: [`postgres`] starts clusters, [`proxy`] cuts connections to them, [`bouncer`] pools them; [`server`] runs ours.

pub mod bouncer;
pub mod guard;
pub mod postgres;
pub mod proxy;
pub mod server;
