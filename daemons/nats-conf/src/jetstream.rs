//! JetStream: limits, durability, encryption, domain.

use settings::{node::Encryption, travel::domain};

use crate::{Input, JETSTREAM_KEY_VARIABLE, text::Block};

pub(crate) fn render(root: &mut Block, input: &Input<'_>) {
    let jetstream = &input.node.jetstream;
    root.block("jetstream", |block| {
        block.path("store_dir", &input.data.join("jetstream"));
        block.text("domain", domain(input.node));
        block.number("max_mem", jetstream.max_memory.bytes());
        block.number("max_file", jetstream.max_storage.unwrap_or(input.max_storage).bytes());
        // A timed interval lost whole streams in every emulated power cut; settings refuses it.
        block.text("sync_interval", &jetstream.sync_interval.to_string());
        let cipher = match jetstream.encryption {
            Encryption::Aes => "aes",
            Encryption::Chacha => "chachapoly",
            Encryption::Off => return,
        };
        block.text("cipher", cipher);
        block.word("key", &format!("${JETSTREAM_KEY_VARIABLE}"));
    });
}
