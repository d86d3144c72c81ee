//! Which alerts somebody has seen to: told to the dashboards of the organisation, all of a tick in one message.

use super::{Hub, Message};
use crate::wire::{AcknowledgementInfo, CatalogMessage, acknowledgement_info};
use std::sync::Arc;
use waystream_domain::{Catalog, CatalogEdit, EventId, OrganisationId};

/// Acknowledgements of one message: of usual notes it stays below what else goes over a socket at once.
const IN_A_MESSAGE: usize = 250;

/// What is said, message by message; one at least.
fn messages(mut given: Vec<AcknowledgementInfo>, mut taken_back: Vec<String>) -> Vec<(Vec<AcknowledgementInfo>, Vec<String>)> {
    let mut messages = Vec::new();
    while messages.is_empty() || !given.is_empty() || !taken_back.is_empty() {
        let (of_given, of_taken_back) = (given.len().min(IN_A_MESSAGE), taken_back.len().min(IN_A_MESSAGE));
        messages.push((given.drain(..of_given).collect(), taken_back.drain(..of_taken_back).collect()));
    }
    messages
}

impl Hub {
    /// Takes over what was said of an event. A thousand may come at once: they are told together.
    pub(super) fn acknowledge_event(&mut self, event: &EventId, edit: &CatalogEdit) {
        let whose = |catalog: &Catalog| catalog.acknowledgements.get(event).map(|a| a.organisation.clone());
        let before = whose(&self.catalog);
        self.catalog.apply(edit.clone());
        let after = whose(&self.catalog);
        for organisation in before.into_iter().chain(after) {
            self.acknowledged.entry(organisation).or_default().insert(event.clone());
        }
    }

    /// Tells what has changed since the last tick, as it is now.
    pub(super) fn tell_acknowledged(&mut self) {
        for (organisation, events) in std::mem::take(&mut self.acknowledged) {
            let (mut given, mut taken_back) = (Vec::new(), Vec::new());
            for event in events {
                match self.catalog.acknowledgements.get(&event).filter(|a| a.organisation == organisation) {
                    Some(acknowledgement) => given.push(acknowledgement_info(acknowledgement)),
                    None => taken_back.push(event.to_string()),
                }
            }
            for (given, taken_back) in messages(given, taken_back) {
                self.tell_edit(&organisation, CatalogMessage::Acknowledgements { whole: false, given, taken_back });
            }
        }
    }

    /// All of an organisation, for who has just come (back) and may know others.
    pub(super) fn all_acknowledged(&self, organisation: &OrganisationId) -> Vec<Message> {
        let all = self.catalog.acknowledgements_of(organisation).map(|a| acknowledgement_info(a)).collect();
        // The first one clears what was known before.
        let mut whole = true;
        let parts = messages(all, Vec::new()).into_iter().map(|(given, taken_back)| {
            let whole = std::mem::take(&mut whole);
            Message::Catalog(Arc::new(CatalogMessage::Acknowledgements { whole, given, taken_back }))
        });
        parts.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_told_in_several_messages_in_order_and_none_in_one() {
        let ids = |n: usize| (0..n).map(|k| k.to_string()).collect::<Vec<_>>();
        let info = |id: String| AcknowledgementInfo { event_id: id, by: "ann".into(), at: 0, note: None };
        for (given, taken_back, expected) in [(0, 0, 1), (250, 250, 1), (251, 0, 2), (10, 501, 3)] {
            let told = messages(ids(given).into_iter().map(info).collect(), ids(taken_back));
            assert_eq!(told.len(), expected);
            let all_given: Vec<_> = told.iter().flat_map(|(given, _)| given.iter().map(|a| a.event_id.clone())).collect();
            let all_taken: Vec<_> = told.iter().flat_map(|(_, taken_back)| taken_back.clone()).collect();
            assert_eq!((all_given, all_taken), (ids(given), ids(taken_back)));
        }
    }
}
