//! prost's codec with small buffers.
//!
//! A stream that answers once and stays open keeps its buffer for as long, and each waiting task has such streams. With
//! tonic's own codec that is 8 KiB for each, which is more than all the rest of a gate. The messages are a few hundred
//! bytes; a longer one makes the buffer grow.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// The size of a buffer to begin with, in bytes.
const BUFFER: usize = 512;
/// How much may be collected before it is sent: tonic's own setting.
const YIELD_THRESHOLD: usize = 32 * 1024;

/// What the generated services encode and decode with.
#[derive(Debug)]
pub struct SmallCodec<Out, In>(PhantomData<(Out, In)>);

impl<Out, In> Default for SmallCodec<Out, In> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Out, In> Codec for SmallCodec<Out, In>
where
    Out: Message + Send + 'static,
    In: Message + Default + Send + 'static,
{
    type Encode = Out;
    type Decode = In;
    type Encoder = ProstEncoder<Out>;
    type Decoder = ProstDecoder<In>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::new(BUFFER, YIELD_THRESHOLD))
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstDecoder::new(BufferSettings::new(BUFFER, YIELD_THRESHOLD))
    }
}
