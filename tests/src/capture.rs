//! What passes a link.

use crate::command::{Background, Inside};

/// Frames as tcpdump describes them; a file in `/run` of the host grows with them.
#[derive(Debug)]
pub struct Capture<'a, I: Inside> {
    place: &'a I,
    file: String,
    _tcpdump: Background,
}

impl<'a, I: Inside> Capture<'a, I> {
    /// Listens from now on. `options` are tcpdump's, a filter included; `name` makes the file's.
    #[must_use]
    #[track_caller]
    pub fn start(place: &'a I, name: &str, options: &str) -> Self {
        let file = format!("/run/{name}.frames");
        let tcpdump = place.spawn(["sh", "-c", &format!("exec tcpdump --immediate-mode -lne {options} >{file} 2>&1")]);
        place.shell(&format!("until grep -sq 'listening on' {file}; do sleep 0.02; done"));
        Self { place, file, _tcpdump: tcpdump }
    }

    /// Waits for a frame of these words (a basic regular expression).
    ///
    /// # Panics
    /// If none comes.
    #[track_caller]
    pub fn assert_sees(&self, words: &str) {
        let file = &self.file;
        let wait = format!("timeout 5 sh -c 'until grep -q \"{words}\" {file}; do sleep 0.02; done' || cat {file}");
        let instead = self.place.shell(&wait);
        assert!(instead.is_empty(), "no frame {words:?} in:\n{instead}");
    }

    /// All of them, and what else tcpdump said.
    #[must_use]
    #[track_caller]
    pub fn frames(&self) -> String {
        self.place.run(["cat", &self.file])
    }
}
