//! Real servers for tests: started in a temporary folder, stopped and removed with whoever started them.
//!
//! What must hold: a missing server fails the test that needs it, in a sentence that names the remedy; nothing is
//! left running, not even when the test process is killed. See [`guard`] for how.
//!
//! Next: [`postgres`] starts clusters, [`proxy`] cuts connections to them, [`bouncer`] pools them; [`seaweed`] is an S3
//! server, [`faulty_s3`] a bad way to it; [`server`] runs ours, [`device`] talks to it; [`folder`] is
//! a place for all that, [`ports`] where they listen.

pub mod bouncer;
pub mod device;
pub mod faulty_s3;
pub mod folder;
pub mod guard;
pub mod ports;
pub mod postgres;
pub mod proxy;
pub mod seaweed;
pub mod server;
