//! What is under way for one place.

use std::cell::RefCell;
use std::future::Future;

use tokio::task::JoinSet;

/// Tasks that end together.
#[derive(Debug, Default)]
pub(crate) struct Tasks(RefCell<JoinSet<()>>);

impl Tasks {
    /// Starts another one.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let mut tasks = self.0.borrow_mut();
        while tasks.try_join_next().is_some() {}
        tasks.spawn_local(task);
    }

    /// Stops them. When this returns, everything that they held is closed.
    pub(crate) async fn stop(&self) {
        let mut tasks = self.0.take();
        tasks.shutdown().await;
    }
}
