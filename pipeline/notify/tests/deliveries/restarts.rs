//! Whatever happens to the notifier: what was matched is delivered, at least once, under the same id, and nobody is told more often.

use crate::common::{System, channel, config, enter, rule, webhook};
use crate::receiver::{Answer, Receiver};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use waystream_domain::notify::{DeliveryState, NotificationRule};
use waystream_domain::{CatalogEntry, DeliveryId, Event};
use waystream_notify::NotifyConfig;

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_delivered_after_a_restart_and_the_throttle_holds() {
    let receiver = Receiver::start().await;
    receiver.answers_otherwise(Answer::Status(503));
    let system = System::start(NotifyConfig { tries: 1_000, longest_pause_s: 1, ..config() }).await;
    let throttled = NotificationRule { at_most_every_min: 60, ..rule("a") };
    system.put(vec![channel("a", webhook(&receiver.url())), CatalogEntry::NotificationRule(throttled)]).await;
    system.happen(&[enter("van", 20), enter("car", 20)]).await;
    receiver.received(4).await;
    let before = system.until_all(2, &["pending"]).await;

    let system = system.restart().await;
    receiver.received(6).await;
    receiver.answers_otherwise(Answer::Status(204));
    let after = system.until_all(2, &["delivered"]).await;
    let ids = |all: &[waystream_domain::notify::Delivery]| all.iter().map(|d| d.id.clone()).collect::<BTreeSet<_>>();
    assert_eq!(ids(&before), ids(&after));

    // Told of both an hour ago at most: only who has not been told of is.
    let system = system.restart().await;
    let so_far = receiver.so_far().len();
    system.happen(&[enter("van", 10), enter("car", 10), enter("bus", 10)]).await;
    receiver.received(so_far + 1).await;
    let all = system.until_all(3, &["delivered"]).await;
    assert_eq!(all.iter().filter(|d| d.event().unwrap().device.as_str() == "bus").count(), 1);
    // Nothing that was delivered is delivered again.
    assert_eq!(receiver.so_far().len(), so_far + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_commit_and_the_answer_it_delivers_again_with_the_same_id() {
    let receiver = Receiver::start().await;
    receiver.will_answer([Answer::Silence]);
    let mut system = System::telling(config(), &[("a", webhook(&receiver.url()))]).await;
    system.happen(&[enter("van", 1)]).await;
    receiver.received(1).await;
    system.kill_notifier().await;
    let received = receiver.received(2).await;
    assert_eq!((&received[0].delivery, &received[0].body), (&received[1].delivery, &received[1].body));
    let delivered = system.until_all(1, &["delivered"]).await;
    assert_eq!(delivered[0].id.as_str(), received[0].delivery);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_moment_lose_nothing_and_invent_nothing() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_128);
    let mut random = seed;
    let mut below = move |n: u64| {
        // A step of a 64-bit linear congruential generator; its upper bits are good enough.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % n
    };
    let receiver = Receiver::start().await;
    let mut system = System::telling(config(), &[("a", webhook(&receiver.url())), ("b", webhook(&receiver.url()))]).await;
    let mut expected: BTreeMap<DeliveryId, Event> = BTreeMap::new();
    for round in 0..25 {
        let events: Vec<Event> = (0..below(20)).map(|n| enter(&format!("van-{}", n % 7), 60 + round * 20 + n as i64)).collect();
        for event in &events {
            for rule in ["a", "b"] {
                expected.insert(DeliveryId::of(&rule.parse().unwrap(), &event.id, 0), event.clone());
            }
        }
        receiver.will_answer((0..below(6)).map(|n| if n % 2 == 0 { Answer::Status(500) } else { Answer::Status(204) }));
        system.happen(&events).await;
        // Not to wait for something: any moment will do.
        tokio::time::sleep(Duration::from_micros(below(40_000))).await;
        system.kill_notifier().await;
    }
    let all = system.until_all(expected.len(), &["delivered"]).await;
    assert_eq!(all.iter().map(|d| &d.id).collect::<BTreeSet<_>>(), expected.keys().collect(), "seed {seed}");
    let received: BTreeSet<String> = receiver.so_far().iter().map(|r| r.delivery.clone()).collect();
    assert_eq!(received, expected.keys().map(ToString::to_string).collect(), "seed {seed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_forgotten_and_what_is_dead_for_a_while_is_not() {
    let receiver = Receiver::start().await;
    receiver.will_answer([Answer::Status(400)]);
    let system = System::telling(config(), &[("a", webhook(&receiver.url()))]).await;
    system.happen(&[enter("van", 1)]).await;
    let dead = system.until_all(1, &["dead"]).await.remove(0);
    let days = |days: i64| dead.changed_at.plus_millis(-days * 86_400_000);
    let old = |id: &str, state: DeliveryState, age: i64| waystream_domain::notify::Delivery {
        id: id.parse().unwrap(),
        state,
        changed_at: days(age),
        matched_at: days(age),
        ..dead.clone()
    };
    let gone = DeliveryState::Dead { reason: "long ago".into() };
    system.append(&old("delivered-8", DeliveryState::Delivered, 8)).await;
    system.append(&old("delivered-6", DeliveryState::Delivered, 6)).await;
    system.append(&old("dead-31", gone.clone(), 31)).await;
    system.append(&old("dead-8", gone, 8)).await;
    system.until_all(5, &["dead", "delivered"]).await;
    let system = system.restart().await;
    let left = system.until(|all| all.len() == 3).await;
    let ids: BTreeSet<&str> = left.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(ids, ["dead-8", "delivered-6", dead.id.as_str()].into());
}
