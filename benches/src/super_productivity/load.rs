//! Many devices at once: how long each request took, and what the server and its Postgres spent.

use std::time::{Duration, Instant};

use super::{Ask, Device, Served};
use crate::measure::Meter;

/// What a load cost.
#[derive(Debug)]
#[non_exhaustive]
pub struct Load {
    /// From the first request to the last answer.
    pub wall: Duration,
    /// How long each request took, sorted.
    pub each: Vec<Duration>,
    /// CPU time of the server process.
    pub server: Duration,
    /// CPU time of the Postgres cluster.
    pub postgres: Duration,
    /// CPU time of this process.
    pub client: Duration,
}

impl Load {
    /// The time that so many of a hundred requests stay below.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let at = (self.each.len() * percent).div_ceil(100).saturating_sub(1);
        self.each.get(at).copied().unwrap_or_default()
    }

    /// How many units a second, when every request has so many.
    #[must_use]
    pub fn rate(&self, units: usize) -> f64 {
        (self.each.len() * units) as f64 / self.wall.as_secs_f64()
    }

    /// A part of the CPU time for each unit, in nanoseconds.
    #[must_use]
    pub fn each_unit(&self, part: Duration, units: usize) -> f64 {
        part.as_secs_f64() * 1e9 / (self.each.len() * units).max(1) as f64
    }
}

/// Lets every device make its requests, one after the other, all devices at once. Devices come back as they are then.
///
/// # Errors
/// What a request failed with.
pub async fn load(served: &Served, devices: Vec<(Device, Vec<Ask>)>) -> anyhow::Result<(Load, Vec<Device>)> {
    let before = spent(served);
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for (mut device, asks) in devices {
        tasks.push(tokio::spawn(async move {
            let mut each = Vec::with_capacity(asks.len());
            for ask in asks {
                let begun = Instant::now();
                device.ask(&ask).await?;
                each.push(begun.elapsed());
            }
            anyhow::Ok((device, each))
        }));
    }
    let (mut each, mut devices) = (Vec::new(), Vec::new());
    for task in tasks {
        let (device, times) = task.await??;
        each.extend(times);
        devices.push(device);
    }
    let wall = begun.elapsed();
    each.sort_unstable();
    let after = spent(served);
    let [server, postgres, client] = std::array::from_fn(|part| after[part].saturating_sub(before[part]));
    let load = Load { wall, each, server, postgres, client };
    Ok((load, devices))
}

/// By the server, its Postgres, and this process.
fn spent(served: &Served) -> [Duration; 3] {
    let server = served.server.cpu();
    [server, served.both.cpu().saturating_sub(server), Meter::new().cpu()]
}
