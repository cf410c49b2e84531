//! The nodes of elections, for officials who follow them: read once a second for all readers
//! together, and not at all without one. A lease begins and ends without a block, so no event
//! announces each change.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use votekit_core::id::ElectionId;

use super::LiveHub;
use crate::live::channel::Channel;
use crate::live::message::Content;
use crate::live::topic::Topic;

/// The time from one reading to the next, and the shortest one when an official begins to follow:
/// no topic has more than four messages a second.
const READ_INTERVAL: Duration = Duration::from_secs(1);
const READ_INTERVAL_MIN: Duration = Duration::from_millis(250);

impl LiveHub {
    /// Publishes the nodes of the elections whose nodes have readers.
    pub(super) async fn publish_nodes(&self) -> Infallible {
        loop {
            let followed = self.followed_nodes();
            if followed.is_empty() {
                self.nodes_wanted.notified().await;
                continue;
            }
            for (law_id, channel) in followed {
                // A list that cannot be read now is read the next time.
                if let Ok(nodes) = self.node.nodes(&law_id).await {
                    channel.publish_at(self.node.now().0, Content::Nodes { nodes });
                }
                #[cfg(test)]
                self.node_lists.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            sleep(READ_INTERVAL_MIN).await;
            let rest = READ_INTERVAL - READ_INTERVAL_MIN;
            let _ = timeout(rest, self.nodes_wanted.notified()).await;
        }
    }

    /// The channels of nodes that have readers. The others are removed: their latest message would
    /// be old when the next reader comes.
    fn followed_nodes(&self) -> Vec<(ElectionId, Arc<Channel>)> {
        let mut channels = self.channels.lock();
        channels
            .retain(|topic, channel| !matches!(topic, Topic::Nodes(_)) || channel.has_readers());
        let followed = channels.iter().filter_map(|(topic, channel)| match topic {
            Topic::Nodes(law_id) => Some((law_id.clone(), Arc::clone(channel))),
            _ => None,
        });
        followed.collect()
    }
}
