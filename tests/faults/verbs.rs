//! What has to be so after each verb, whichever of its calls has failed.

use tests::{Finished, Outcome, Snapshot};

use crate::attachments::Attachments;
use crate::calls::{Fault, faults_of};

/// What is wrong, if something is.
type Verdict = Result<(), String>;

/// A verb, what it starts from, and what has to be so after it has met a fault. That ends where it has begun.
struct Rule {
    verb: &'static str,
    prepare: fn(&mut Attachments),
    judge: fn(&mut Attachments, &Outcome, &Unfaulted) -> Verdict,
}

const RULES: [Rule; 6] = [
    Rule { verb: "ADD", prepare: |_| {}, judge: judge_add },
    Rule { verb: "DEL", prepare: attach, judge: judge_del },
    Rule { verb: "GC", prepare: attach, judge: judge_gc },
    Rule { verb: "CHECK", prepare: attach, judge: judge_nothing },
    Rule { verb: "CHECK", prepare: attach_and_damage, judge: judge_nothing },
    Rule { verb: "STATUS", prepare: attach, judge: judge_nothing },
];

/// The calls of a plugin's verb (of every verb, if none is named) that may fail as they like, and why.
const EXCEPTED: [(&str, Option<&str>, &[&str]); 3] = [
    // It has the C library's allocator, for its daemon reads what comes from the network: without memory it just ends. The
    // daemon does not wait for it.
    ("dhcp", None, &["mmap", "brk"]),
    // A file that cannot be deleted is what it tries whether files can be written with.
    ("dnsname", Some("STATUS"), &["unlink"]),
    ("tuning", Some("STATUS"), &["unlink"]),
];

/// What a verb does where nothing fails.
struct Unfaulted {
    before: Snapshot,
    after: Snapshot,
    succeeds: bool,
}

#[track_caller]
pub(crate) fn survive_every_fault(plugin: &'static str) {
    let mut faults = 0;
    let mut wrong = Vec::new();
    for (turn, rule) in RULES.iter().enumerate() {
        faults += rule.sweep(plugin, turn, &mut wrong);
    }
    assert!(wrong.is_empty(), "{} of {faults} faults went wrong:\n{}", wrong.len(), wrong.join("\n"));
}

impl Rule {
    /// Has each call fail, and returns how many those were. After one that something is wrong with, the next one gets a
    /// host of its own.
    fn sweep(&self, plugin: &'static str, turn: usize, wrong: &mut Vec<String>) -> usize {
        let Self { verb, judge, .. } = self;
        let mut attachments = self.start(plugin);
        let before = attachments.snapshot();
        attachments.forget_the_last_address();
        let (outcome, faults) = faults_of(&attachments.call(verb), turn);
        let unfaulted = Unfaulted { before, after: attachments.snapshot(), succeeds: outcome.is_ok() };
        judge(&mut attachments, &outcome, &unfaulted)
            .unwrap_or_else(|what| panic!("{plugin} {verb} unfaulted: {what}"));
        for fault in faults.iter().filter(|fault| !self.excepts(plugin, fault)) {
            attachments.forget_the_last_address();
            let outcome = fault.strike(&attachments.call(verb));
            let verdict =
                judge_reply(fault, &outcome, &unfaulted).and_then(|()| judge(&mut attachments, &outcome, &unfaulted));
            if let Err(what) = verdict {
                let Finished { status, stdout, stderr, .. } = outcome.finished;
                wrong.push(format!("{plugin} {verb}, {fault}: {what}\n    {status} {stdout}{stderr}"));
                attachments = self.start(plugin);
            }
        }
        if let Err(what) = require_same("all of it", &unfaulted.before, &attachments) {
            wrong.push(format!("{plugin} {verb}: {what}"));
        }
        faults.len()
    }

    fn excepts(&self, plugin: &str, fault: &Fault) -> bool {
        EXCEPTED.iter().any(|(whose, verb, calls)| {
            *whose == plugin && verb.is_none_or(|verb| verb == self.verb) && calls.contains(&fault.call.as_str())
        })
    }

    fn start(&self, plugin: &'static str) -> Attachments {
        let mut attachments = Attachments::new(plugin);
        (self.prepare)(&mut attachments);
        attachments
    }
}

#[track_caller]
fn attach(attachments: &mut Attachments) {
    attach_again(attachments).unwrap_or_else(|what| panic!("{what}"));
}

#[track_caller]
fn attach_and_damage(attachments: &mut Attachments) {
    attach(attachments);
    attachments.damage();
}

/// A success or an error in JSON, and no success where there is none without the fault.
fn judge_reply(fault: &Fault, outcome: &Outcome, unfaulted: &Unfaulted) -> Verdict {
    let says_what = |reply: &serde_json::Value| reply["code"].as_u64() > Some(0) && reply["msg"].is_string();
    match outcome.finished.status.code() {
        Some(0) if unfaulted.succeeds => Ok(()),
        Some(0) => Err("a success, but without the fault it fails".to_owned()),
        Some(1) if outcome.json.as_ref().is_some_and(says_what) || fault.is_in_the_reply() => Ok(()),
        _ => Err("no reply".to_owned()),
    }
}

/// All is there, or nothing; DEL takes it away.
fn judge_add(attachments: &mut Attachments, outcome: &Outcome, unfaulted: &Unfaulted) -> Verdict {
    match &outcome.json {
        Some(result) if outcome.is_ok() => {
            attachments.remember(result.clone());
            require_same("the successful ADD", &unfaulted.after, attachments)?;
            require_success("CHECK", attachments)?;
        }
        // Where ADD fails without the fault as well, that may have struck what takes everything back.
        _ if !unfaulted.succeeds => {}
        _ => require_same("the failed ADD", &unfaulted.before, attachments)?,
    }
    require_success("DEL", attachments)
}

/// A failure does not keep the next DEL from doing what is left. As long as anything else is left, nobody gets the addresses.
fn judge_del(attachments: &mut Attachments, outcome: &Outcome, unfaulted: &Unfaulted) -> Verdict {
    if !outcome.is_ok() {
        let all = unfaulted.after.diff(&unfaulted.before);
        let left = unfaulted.after.diff(&attachments.snapshot());
        let addresses = |lines: &[String]| lines.iter().filter(|line| is_reservation(line)).count();
        if addresses(&left) < addresses(&all) && !left.iter().all(|line| is_reservation(line)) {
            return Err(format!("an address is free, but left is {left:#?}"));
        }
        require_success("DEL", attachments)?;
    }
    require_same("DEL", &unfaulted.after, attachments)?;
    attach_again(attachments)
}

fn is_reservation(line: &str) -> bool {
    line.starts_with("+ file /var/lib/cni/networks/")
}

fn judge_gc(attachments: &mut Attachments, outcome: &Outcome, unfaulted: &Unfaulted) -> Verdict {
    if !outcome.is_ok() {
        require_success("GC", attachments)?;
    }
    require_same("GC", &unfaulted.after, attachments)?;
    require_success("DEL", attachments)?;
    attachments.renew_the_interface();
    attach_again(attachments)
}

/// That nothing has changed is looked at once, after all faults.
fn judge_nothing(_: &mut Attachments, _: &Outcome, _: &Unfaulted) -> Verdict {
    Ok(())
}

fn attach_again(attachments: &mut Attachments) -> Verdict {
    attachments.attach().map_err(|outcome| format!("ADD after it: {}", outcome.finished))
}

fn require_success(verb: &str, attachments: &Attachments) -> Verdict {
    let outcome = attachments.call(verb).run();
    if outcome.is_ok() { Ok(()) } else { Err(format!("{verb} after it: {}", outcome.finished)) }
}

fn require_same(after: &str, expected: &Snapshot, attachments: &Attachments) -> Verdict {
    let differences = expected.diff(&attachments.snapshot());
    if differences.is_empty() { Ok(()) } else { Err(format!("{after} has left (+) or taken (-) {differences:#?}")) }
}
