use super::*;
use crate::lease::{Settings, Times};

const PACE: Pace = Pace {
    first: Duration::from_millis(20),
    request: Duration::from_millis(250),
    longest: Duration::from_secs(62),
    answer: Duration::from_secs(10),
    attempt: Duration::from_secs(208),
};

/// A machine, and the time that passes for it.
struct Client {
    machine: Machine,
    now: Moment,
    random: u32,
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Client {
    fn new(lease: Option<Lease>) -> Self {
        Self { machine: Machine::new(PACE, lease), now: Moment::from_boot(seconds(1000)), random: 0 }
    }

    /// Bound to a lease of 100 s that is renewed after 50 and rebound after 80.
    fn bound() -> Self {
        let mut client = Self::new(None);
        client.step(Event::Start);
        client.hear(offer(TAKE_AT_ONCE));
        let actions = client.hear(grant("10.0.0.5/24"));
        assert!(matches!(actions[..], [Action::Take(_)]), "{actions:?}");
        client
    }

    fn step(&mut self, event: Event) -> Vec<Action> {
        let random = &mut self.random;
        let mut next = || {
            *random += 1;
            *random
        };
        self.machine.step(event, self.now, &mut next)
    }

    fn hear(&mut self, reply: Reply) -> Vec<Action> {
        self.step(Event::Heard(reply))
    }

    /// Lets time pass until the machine wants to be woken, and wakes it.
    fn sleep(&mut self) -> Vec<Action> {
        self.now = self.now.max(self.machine.wake());
        self.step(Event::Wake)
    }

    fn slept(&mut self) -> Duration {
        self.machine.wake().since(self.now)
    }
}

fn offer(preference: u8) -> Reply {
    Reply::Offer(Offer { address: "10.0.0.5".parse().unwrap(), server: vec![preference], preference })
}

fn grant(address: &str) -> Reply {
    let address = address.parse().unwrap();
    let settings = Settings { address, gateway: None, routes: Vec::new(), dns: cni_plugin::Dns::default() };
    let times = Times { renew: Some(seconds(50)), rebind: Some(seconds(80)), valid: Some(seconds(100)) };
    Reply::Grant(Box::new(Grant { settings, server: vec![1], times }))
}

fn refusal(revokes: bool) -> Reply {
    Reply::Refusal { reason: "no".into(), revokes }
}

/// What is said, without the numbers.
fn said(actions: &[Action]) -> Vec<&'static str> {
    actions
        .iter()
        .map(|action| match action {
            Action::Send { message: Message::Seek, .. } => "seek",
            Action::Send { message: Message::Request(_), .. } => "request",
            Action::Send { message: Message::Renew, .. } => "renew",
            Action::Send { message: Message::Rebind, .. } => "rebind",
            Action::Take(_) => "take",
            Action::Withdraw { .. } => "withdraw",
            Action::Note(_) => "note",
        })
        .collect()
}

fn transaction(actions: &[Action]) -> u32 {
    match actions {
        [Action::Send { transaction, .. }] => *transaction,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lease_is_sought_requested_and_taken() {
    let mut client = Client::new(None);
    assert_eq!(client.machine.wake(), Moment::NEVER);
    let sought = client.step(Event::Start);
    assert_eq!(said(&sought), ["seek"]);
    assert!(client.machine.is_seeking());
    let requested = client.hear(offer(TAKE_AT_ONCE));
    assert_eq!(said(&requested), ["request"]);
    assert_eq!(transaction(&sought), transaction(&requested), "a server of DHCPv4 wants the same number");
    assert!(!client.machine.is_seeking());
    let taken = client.hear(grant("10.0.0.5/24"));
    let [Action::Take(lease)] = &taken[..] else { panic!("{taken:?}") };
    assert_eq!(lease.expires_at, client.now.after(seconds(100)));
    assert_eq!(client.machine.wake(), lease.renew_at);
    assert_eq!(client.machine.transaction(), None, "no question is open");
}

#[test]
fn a_question_is_repeated_ever_more_slowly() {
    let mut client = Client::new(None);
    client.step(Event::Start);
    let mut pauses = Vec::new();
    for _ in 0..20 {
        pauses.push(client.slept());
        if said(&client.sleep()) != ["seek"] {
            break;
        }
    }
    for (i, pause) in pauses.iter().enumerate() {
        let exact = Duration::from_millis(20 << i).min(PACE.longest);
        assert!(*pause >= exact.mul_f64(0.9) && *pause <= exact.mul_f64(1.1), "{i}: {pause:?}");
    }
}

#[test]
fn the_times_of_a_lease_count_from_the_question() {
    let mut client = Client::new(None);
    client.step(Event::Start);
    client.hear(offer(TAKE_AT_ONCE));
    let asked = client.now;
    client.now = client.now.after(Duration::from_millis(200));
    client.hear(grant("10.0.0.5/24"));
    assert_eq!(client.machine.lease().unwrap().expires_at, asked.after(seconds(100)));
}

#[test]
fn the_best_of_the_first_offers_is_requested() {
    let mut client = Client::new(None);
    client.step(Event::Start);
    for preference in [0, 7, 3, 7] {
        assert_eq!(client.hear(offer(preference)), []);
    }
    let actions = client.sleep();
    let [Action::Send { message: Message::Request(chosen), .. }] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(chosen.preference, 7);
}

#[test]
fn a_late_offer_is_requested_at_once() {
    let mut client = Client::new(None);
    client.step(Event::Start);
    client.sleep();
    assert_eq!(said(&client.hear(offer(0))), ["request"]);
}

#[test]
fn a_server_that_offers_and_then_says_nothing_is_left() {
    let mut client = Client::new(None);
    client.step(Event::Start);
    client.hear(offer(TAKE_AT_ONCE));
    let offered = client.now;
    let actions: Vec<_> = (0..6).flat_map(|_| client.sleep()).collect();
    assert_eq!(said(&actions), ["request", "request", "request", "request", "request", "seek"]);
    assert_eq!(client.now.since(offered), PACE.answer, "a server may be slow to write down what it gives");
}

/// Offer, request, refusal, offer, ... would go on as fast as the network can.
#[test]
fn a_server_that_refuses_what_it_offered_is_not_asked_without_pause() {
    let mut client = Client::new(None);
    client.step(Event::Start);
    client.hear(offer(TAKE_AT_ONCE));
    assert_eq!(said(&client.hear(refusal(true))), ["note"]);
    assert_eq!(client.slept(), SULK);
    assert_eq!(said(&client.sleep()), ["seek"]);
}

#[test]
fn a_refusal_while_seeking_leaves_room_for_another_server() {
    let mut client = Client::new(None);
    client.step(Event::Start);
    assert_eq!(said(&client.hear(refusal(false))), ["note"]);
    assert_eq!(said(&client.hear(offer(TAKE_AT_ONCE))), ["request"]);
}

#[test]
fn after_a_long_silence_the_administrator_hears_of_it_and_the_pace_begins_anew() {
    let mut client = Client::new(None);
    client.step(Event::Start);
    let began = client.now;
    let told = loop {
        let actions = client.sleep();
        if actions.len() == 2 {
            break actions;
        }
        assert_eq!(said(&actions), ["seek"]);
    };
    assert_eq!(said(&told), ["note", "seek"]);
    assert!(client.now.since(began) >= PACE.attempt && client.now.since(began) < PACE.attempt + PACE.longest);
    assert!(client.slept() < seconds(1));
}

#[test]
fn a_lease_is_renewed_at_t1() {
    let mut client = Client::bound();
    let began = client.now;
    assert_eq!(said(&client.sleep()), ["renew"]);
    assert_eq!(client.now.since(began), seconds(50));
    assert_eq!(said(&client.hear(grant("10.0.0.5/24"))), ["take"]);
    assert_eq!(client.slept(), seconds(50));
}

#[test]
fn renewing_becomes_rebinding_becomes_expiry_becomes_seeking() {
    let mut client = Client::bound();
    let began = client.now;
    let mut story = Vec::new();
    while client.now.since(began) < seconds(100) {
        let actions = client.sleep();
        let at = client.now.since(began).as_millis();
        story.extend(said(&actions).into_iter().map(|said| (at, said)));
    }
    let expected = [
        (50_000, "renew"),
        (65_000, "renew"),
        (72_500, "renew"),
        (76_250, "renew"),
        (78_125, "renew"),
        (79_125, "renew"),
        (80_000, "note"),
        (80_000, "rebind"),
        (90_000, "rebind"),
        (95_000, "rebind"),
        (97_500, "rebind"),
        (98_750, "rebind"),
        (99_750, "rebind"),
        (100_000, "withdraw"),
        (100_000, "seek"),
    ];
    assert_eq!(story, expected);
    assert_eq!(client.machine.lease(), None);
    client.hear(offer(TAKE_AT_ONCE));
    assert_eq!(said(&client.hear(grant("10.0.0.9/24"))), ["take"]);
}

#[test]
fn another_server_may_renew() {
    let mut client = Client::bound();
    while said(&client.sleep()) != ["note", "rebind"] {}
    assert_eq!(said(&client.hear(grant("10.0.0.5/24"))), ["take"]);
    assert_eq!(said(&client.sleep()), ["renew"]);
}

#[test]
fn a_revoked_lease_is_given_up_and_another_sought_at_once() {
    let mut client = Client::bound();
    client.sleep();
    assert_eq!(said(&client.hear(refusal(true))), ["withdraw", "seek"]);
    assert_eq!(client.machine.lease(), None);
}

/// A DHCPv6 server that has lost its memory does not take the address back: its lifetime goes on (RFC 8415, section
/// 18.2.10.1).
#[test]
fn a_lease_that_the_server_has_forgotten_is_used_to_its_end_while_another_is_sought() {
    let mut client = Client::bound();
    let expires_at = client.machine.lease().unwrap().expires_at;
    client.sleep();
    assert_eq!(said(&client.hear(refusal(false))), ["note", "seek"]);
    assert!(client.machine.lease().is_some());
    let mut last = Vec::new();
    while client.now < expires_at {
        last = client.sleep();
    }
    assert_eq!(client.now, expires_at, "not a moment later, although the next question is due then");
    assert_eq!(said(&last)[0], "withdraw");
    client.hear(offer(TAKE_AT_ONCE));
    assert_eq!(said(&client.hear(grant("10.0.0.9/24"))), ["take"]);
}

#[test]
fn a_client_that_comes_back_late_does_what_is_due() {
    for (late, expected) in [(60, vec!["renew"]), (90, vec!["note", "rebind"]), (500, vec!["withdraw", "seek"])] {
        let lease = Client::bound().machine.lease().cloned();
        let mut client = Client::new(lease);
        client.now = client.now.after(seconds(late));
        assert_eq!(said(&client.sleep()), expected, "{late} s later");
    }
    let mut client = Client::new(Client::bound().machine.lease().cloned());
    assert_eq!(said(&client.step(Event::Wake)), [""; 0], "nothing is due yet");
}

#[test]
fn a_lease_for_ever_is_never_renewed() {
    let mut lease = Client::bound().machine.lease().cloned().unwrap();
    (lease.renew_at, lease.rebind_at, lease.expires_at) = (Moment::NEVER, Moment::NEVER, Moment::NEVER);
    let client = Client::new(Some(lease));
    assert_eq!(client.machine.wake(), Moment::NEVER);
}

#[test]
fn whoever_wants_it_renewed_now_gets_that() {
    let mut client = Client::bound();
    assert_eq!(said(&client.step(Event::Renew)), ["renew"]);
    assert_eq!(said(&client.step(Event::Renew)), [""; 0], "it is being renewed");
    assert_eq!(said(&client.hear(grant("10.0.0.5/24"))), ["take"]);
    let mut seeking = Client::new(None);
    assert_eq!(said(&seeking.step(Event::Renew)), [""; 0]);
}

#[test]
fn nobody_is_heard_who_was_not_asked() {
    let mut client = Client::bound();
    for reply in [offer(TAKE_AT_ONCE), grant("10.0.0.66/24"), refusal(true)] {
        assert_eq!(client.hear(reply), []);
    }
    client.sleep();
    assert_eq!(client.hear(offer(TAKE_AT_ONCE)), [], "an offer to somebody who renews");
}

/// Whatever comes in whatever order, the machine always has something to wait for, and never more than one question.
#[test]
fn no_order_of_events_leaves_it_without_a_plan() {
    let mut random = 1_u32;
    let mut dice = move || {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        random
    };
    let mut client = Client::new(None);
    client.step(Event::Start);
    for _ in 0..100_000 {
        let actions = match dice() % 8 {
            0 => client.hear(offer(u8::try_from(dice() % 256).unwrap())),
            1 => client.hear(grant("10.0.0.5/24")),
            2 => client.hear(refusal(dice() % 2 == 0)),
            3 => client.step(Event::Renew),
            4 => {
                client.now = client.now.after(seconds((dice() % 200).into()));
                client.step(Event::Wake)
            }
            _ => client.sleep(),
        };
        let sent = actions.iter().filter(|action| matches!(action, Action::Send { .. })).count();
        assert!(sent <= 1, "{actions:?}");
        assert!(client.machine.wake() < Moment::NEVER);
        assert!(client.machine.wake() > client.now || sent == 0, "{actions:?}");
    }
}
