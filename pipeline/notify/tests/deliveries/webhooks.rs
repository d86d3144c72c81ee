//! To a real web server: what it answers decides, and one that is slow or unwilling harms nobody else.

use crate::common::{System, channel, config, enter, now, rule, webhook};
use crate::receiver::{Answer, Receiver};
use std::collections::BTreeSet;
use waystream_domain::notify::{Content, Delivery, DeliveryState};
use waystream_domain::{CatalogEdit, CatalogEntry, CatalogKey, Event};
use waystream_notify::NotifyConfig;

fn reason(delivery: &Delivery) -> &str {
    match &delivery.state {
        DeliveryState::Dead { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_tried_until_it_is_taken_with_the_same_id_and_body_and_signed() {
    let receiver = Receiver::start().await;
    receiver.will_answer([500, 429, 408, 503].map(Answer::Status));
    let system = System::telling(config(), &[("a", webhook(&receiver.url()))]).await;
    let event = enter("van/7", 10);
    system.happen(&[enter("van/7", 3_700), event.clone()]).await;
    let delivered = system.until_all(1, &["delivered"]).await.remove(0);
    assert_eq!(delivered.attempts, 5);

    let received = receiver.so_far();
    assert_eq!(received.len(), 5);
    for one in &received {
        assert_eq!((one.delivery.as_str(), &one.body), (delivered.id.as_str(), &received[0].body));
    }
    let body = received[0].json();
    assert_eq!(body["delivery"], delivered.id.as_str());
    assert_eq!(body["headline"], "van/7 entered depot");
    assert_eq!((&body["test"], &body["correction"]), (&false.into(), &false.into()));
    assert_eq!(body["rule"]["name"], "Rule a");
    let told = &body["event"];
    assert_eq!((told["id"].as_str(), told["kind"].as_str()), (Some(event.id.as_str()), Some("enter")));
    assert_eq!((told["fleet_name"].as_str(), told["lat"].as_f64()), (Some("North"), Some(52.229676)));
    assert_eq!(told["fix_time"], event.fix_time.to_string());
    assert_eq!(told["attributes"]["speed_mps"], 5.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refuses_is_not_asked_again_until_somebody_says_so() {
    let receiver = Receiver::start().await;
    let elsewhere = Receiver::start().await;
    receiver.will_answer([Answer::Status(404), Answer::With(307, "location", elsewhere.url())]);
    let system = System::telling(config(), &[("a", webhook(&receiver.url()))]).await;
    system.happen(&[enter("one", 1)]).await;
    let dead = system.until_all(1, &["dead"]).await.remove(0);
    assert_eq!((dead.attempts, reason(&dead)), (1, "answered 404 Not Found"));
    system.happen(&[enter("two", 1)]).await;
    let redirected = system.until_all(2, &["dead"]).await.remove(1);
    assert!(reason(&redirected).contains("redirects are not followed"), "{redirected:?}");

    system.append(&dead.again(now()).unwrap()).await;
    let both = system.until(|all| all.iter().any(|d| d.state == DeliveryState::Delivered)).await;
    assert_eq!(both.iter().map(|d| d.state.name()).collect::<BTreeSet<_>>(), ["dead", "delivered"].into());
    let received = receiver.so_far();
    assert_eq!((received.len(), &received[2].delivery), (3, &received[0].delivery));
    assert_eq!(elsewhere.so_far().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_inside_are_refused_by_number_and_by_name() {
    let receiver = Receiver::start().await;
    let port = receiver.port();
    let urls = [
        format!("http://127.0.0.1:{port}/hook"),
        format!("http://localhost:{port}/hook"),
        format!("http://[::ffff:127.0.0.1]:{port}/hook"),
        format!("http://2130706433:{port}/hook"),
        format!("http://0.0.0.0:{port}/hook"),
    ];
    let names = ["a", "b", "c", "d", "e"];
    let channels: Vec<_> = names.into_iter().zip(urls.iter().map(|url| webhook(url))).collect();
    let system = System::telling(NotifyConfig { allow_private_addresses: false, ..config() }, &channels).await;
    system.happen(&[enter("van", 1)]).await;
    for dead in system.until_all(names.len(), &["dead"]).await {
        assert!(reason(&dead).contains("not an address of the public network"), "{dead:?}");
    }
    assert_eq!(receiver.so_far().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_receiver_holds_up_nobody_else_and_few_attempts_wait_for_it() {
    let (silent, quick) = (Receiver::start().await, Receiver::start().await);
    silent.answers_otherwise(Answer::Silence);
    let settings = NotifyConfig { timeout_s: 3_600, max_waiting: 30, ..config() };
    let system = System::telling(settings, &[("silent", webhook(&silent.url())), ("quick", webhook(&quick.url()))]).await;
    // Together they are more than may wait for one channel.
    for round in 0..4 {
        let events: Vec<Event> = (0..10).map(|n| enter(&format!("van-{round}-{n}"), 1)).collect();
        system.happen(&events).await;
        quick.received((round + 1) * 10).await;
    }
    let all = system.until(|all| all.iter().filter(|d| d.state == DeliveryState::Delivered).count() == 40).await;
    // At a time; no more are begun as long as none of them ends.
    assert_eq!(silent.received(4).await.len(), 4);
    let dead: Vec<&Delivery> = all.iter().filter(|d| d.state.name() == "dead").collect();
    assert_eq!(dead.len(), 10);
    for delivery in dead {
        assert_eq!((delivery.channel.as_str(), delivery.attempts), ("silent", 0));
        assert_eq!(reason(delivery), "30 notifications wait for this channel already");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_is_tried_again_and_in_the_end_given_up() {
    let receiver = Receiver::start().await;
    receiver.answers_otherwise(Answer::Silence);
    let settings = NotifyConfig { timeout_s: 1, tries: 2, ..config() };
    let system = System::telling(settings, &[("a", webhook(&receiver.url()))]).await;
    system.happen(&[enter("van", 1)]).await;
    let dead = system.until_all(1, &["dead"]).await.remove(0);
    assert_eq!(reason(&dead), "given up after 2 attempts, at last: no answer within 1 s");
    assert_eq!(receiver.so_far().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_taken_back_but_not_before_it_was_told() {
    let receiver = Receiver::start().await;
    receiver.will_answer([Answer::Status(503), Answer::Status(503)]);
    let system = System::telling(NotifyConfig { first_pause_ms: 1_000, ..config() }, &[("a", webhook(&receiver.url()))]).await;
    let event = enter("van", 30);
    let never = enter("car", 30);
    let back = |event: &Event| Event { retracted: true, revises: Some(event.id.clone()), ..event.clone() };
    system.happen(&[event.clone(), back(&event), back(&never)]).await;
    system.until_all(2, &["delivered"]).await;
    let told: Vec<(bool, bool)> = receiver
        .so_far()
        .iter()
        .map(|r| (r.json()["event"]["retracted"].as_bool().unwrap(), r.json()["correction"].as_bool().unwrap()))
        .collect();
    assert_eq!(told, [(false, false), (false, false), (false, false), (true, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_channel_as_it_is_when_it_is_tried_counts() {
    let (old, new) = (Receiver::start().await, Receiver::start().await);
    old.answers_otherwise(Answer::Status(503));
    let system = System::telling(config(), &[("a", webhook(&old.url())), ("b", webhook(&old.url()))]).await;
    system.happen(&[enter("van", 1)]).await;
    old.received(4).await;
    system.put(vec![channel("a", webhook(&new.url()))]).await;
    system
        .catalog
        .edit(&waystream_domain::Actor::CommandLine, vec![CatalogEdit::Remove(CatalogKey::Channel("b".parse().unwrap()))])
        .await
        .unwrap();
    let all = system.until_all(2, &["delivered", "dead"]).await;
    let of = |name: &str| all.iter().find(|d| d.channel.as_str() == name).unwrap();
    assert_eq!(of("a").state, DeliveryState::Delivered);
    assert_eq!(new.so_far().len(), 1);
    assert_eq!(reason(of("b")), "the channel is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_told_apart() {
    let receiver = Receiver::start().await;
    let system = System::start(config()).await;
    system.put(vec![channel("a", webhook(&receiver.url()))]).await;
    let test = Delivery {
        id: "test-1".parse().unwrap(),
        organisation: "o".parse().unwrap(),
        channel: "a".parse().unwrap(),
        content: Content::Test { by: "admin".parse().unwrap() },
        matched_at: now(),
        round: 0,
        attempts: 0,
        changed_at: now(),
        state: DeliveryState::Pending { next_try_at: now(), last_error: None },
    };
    system.append(&test).await;
    // Somebody else's channel is nobody's.
    system.append(&Delivery { id: "test-2".parse().unwrap(), organisation: "p".parse().unwrap(), ..test }).await;
    let all = system.until_all(2, &["delivered", "dead"]).await;
    assert_eq!(all.iter().find(|d| d.id.as_str() == "test-2").map(reason), Some("the channel is gone"));
    let received = receiver.so_far();
    assert_eq!((received.len(), &received[0].json()["test"]), (1, &true.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_in_the_log_harms_nothing() {
    let receiver = Receiver::start().await;
    let system = System::telling(config(), &[("a", webhook(&receiver.url()))]).await;
    use waystream_log::{Log, Record, Topic};
    system.log.append(Topic::Deliveries, vec![Record::new("x", "{"), Record::removal(vec![0xff])]).await.unwrap();
    system.log.append(Topic::Events, vec![Record::new("van", "rubbish"), Record::removal("van")]).await.unwrap();
    system.put(vec![CatalogEntry::NotificationRule(rule("a"))]).await;
    system.happen(&[enter("van", 1)]).await;
    assert_eq!(receiver.received(1).await.len(), 1);
    let system = system.restart().await;
    system.happen(&[enter("car", 1)]).await;
    assert_eq!(receiver.received(2).await.len(), 2);
}
