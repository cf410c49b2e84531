//! A consumer that never keeps a batch.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::Channel;
use lapin::options::{
    BasicCancelOptions, BasicConsumeOptions, BasicRejectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;

use super::Corner;

/// Consumes the validation queues and requeues, until the broker has dead-lettered the batch.
pub(crate) async fn reject_until_put_aside(corner: &Corner, channel: &Channel) {
    let queues = ["validation-0", "validation-1"];
    let mut takers = Vec::new();
    for queue in queues {
        let options = BasicConsumeOptions::default();
        let taker = channel
            .basic_consume(corner.name(queue).into(), queue.into(), options, FieldTable::default())
            .await
            .expect("taking");
        takers.push(taker);
    }
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let letters = corner.name("dead-letters");
    loop {
        for taker in &mut takers {
            while let Ok(Some(message)) =
                tokio::time::timeout(Duration::from_millis(100), taker.next()).await
            {
                let options = BasicRejectOptions { requeue: true };
                message.expect("whole").reject(options).await.expect("given back");
            }
        }
        let declared =
            channel.queue_declare(letters.clone().into(), passive, FieldTable::default());
        if declared.await.expect("there").message_count() > 0 {
            break;
        }
    }
    for queue in queues {
        let options = BasicCancelOptions::default();
        channel.basic_cancel(queue.into(), options).await.expect("left");
    }
}
