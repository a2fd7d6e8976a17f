//! Making a tar of its parts: read by several threads, hashed and written in order.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::copy_error::CopyError;
use crate::copy_plan::CopyPlan;
use crate::copy_read::write_entry;
use crate::error::LayerError;
use crate::interrupt::Interrupt;
use crate::pipeline::{BLOCK_BYTES, Block, Blocks, Pipeline};
use crate::predecessor::Predecessor;
use crate::splice::{END_BYTES, Part};

/// Entries are read together until they make up about one block.
const JOB_BYTES: u64 = BLOCK_BYTES as u64 * 7 / 8;
/// What an entry takes beside its content: a header, and mostly a pax header for its time.
const HEADERS_BYTES: u64 = 1536;
/// Blocks of one job that may wait for those before it.
const BLOCKS_AHEAD: usize = 2;
/// Jobs under way for each reading thread.
const JOBS_EACH: usize = 3;
/// Reading threads. SHA-256 takes bytes at 2 GB/s, which few threads provide; opening
/// small files is what more of them help with.
const READERS: Range<usize> = 2..8;

/// A stretch of the tar that one thread reads.
#[derive(Debug, Clone)]
enum Job {
    Kept {
        from: u64,
        length: u64,
        is_copied: bool,
    },
    /// A range of the order of the tar.
    Entries(Range<u32>),
    /// A place in that order.
    Header(u32),
    End,
}

/// What a reading thread says.
enum Message {
    /// The next bytes of the tar, and whether they go into the pack.
    Block(Block, bool),
    /// An entry of the plan that is complete, and where its content begins, counted from the
    /// start of the job.
    Entry(u32, u64),
}

type Sender = SyncSender<Result<Vec<Message>, CopyError>>;
type Incoming = Receiver<Result<Vec<Message>, CopyError>>;

/// A tar to be made: a plan, and what an older tar has of it.
pub(crate) struct Assembly<'work> {
    pub plan: &'work CopyPlan,
    /// Numbers of the plan's entries in the order of the tar.
    pub order: &'work [u32],
    pub predecessor: Option<&'work Predecessor>,
    pub interrupt: &'work Interrupt,
}

impl Assembly<'_> {
    /// Sends the bytes of `parts`, from offset `start` on, through the pipeline.
    ///
    /// `placed` is told of each entry that was written anew, by its number in the plan, where its
    /// content begins.
    /// What is kept and lies before `start` is not read, and the hash of the
    /// pipeline has it already.
    ///
    /// # Errors
    ///
    /// The first failure in the order of the tar.
    pub(crate) fn run(
        &self,
        parts: &[(u64, Part)],
        start: u64,
        pipeline: &mut Pipeline,
        placed: &mut dyn FnMut(u32, u64),
    ) -> Result<(), CopyError> {
        let mut jobs = self.jobs(parts, start).into_iter();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let readers = cores.clamp(READERS.start, READERS.end);
        let blocks = pipeline.blocks();
        let mut position = start;
        // Large enough for all jobs under way: sending never blocks.
        let (queue, work) = sync_channel::<(Job, Sender)>(readers * JOBS_EACH);
        let work = Mutex::new(work);
        thread::scope(|scope| {
            // What goes when this ends tells the threads to end.
            let (queue, mut under_way) = (queue, VecDeque::<Incoming>::new());
            for _ in 0..readers {
                let (work, blocks) = (&work, &blocks);
                let spawned = thread::Builder::new()
                    .name("read".into())
                    .spawn_scoped(scope, move || self.read_jobs(work, blocks));
                spawned.map_err(LayerError::io("start a thread for", "reading"))?;
            }
            loop {
                while under_way.len() < readers * JOBS_EACH {
                    let Some(job) = jobs.next() else {
                        break;
                    };
                    let (sender, incoming) = sync_channel(BLOCKS_AHEAD);
                    if queue.send((job, sender)).is_err() {
                        break;
                    }
                    under_way.push_back(incoming);
                }
                let Some(incoming) = under_way.pop_front() else {
                    return Ok(());
                };
                position = drain(&incoming, position, pipeline, placed)?;
            }
        })
    }

    /// Cuts parts into jobs, and leaves out what lies before `start`.
    fn jobs(&self, parts: &[(u64, Part)], start: u64) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (offset, part) in parts {
            match part {
                Part::Kept {
                    from,
                    length,
                    is_copied,
                } => {
                    let skipped = start.saturating_sub(*offset).min(*length);
                    if skipped < *length {
                        jobs.push(Job::Kept {
                            from: from + skipped,
                            length: length - skipped,
                            is_copied: *is_copied,
                        });
                    }
                }
                Part::Fresh(entries) => self.entry_jobs(entries.clone(), &mut jobs),
                Part::Header(place) => jobs.push(Job::Header(*place)),
                Part::End => jobs.push(Job::End),
            }
        }
        jobs
    }

    fn entry_jobs(&self, entries: Range<u32>, jobs: &mut Vec<Job>) {
        let (mut first, mut bytes) = (entries.start, 0);
        for place in entries.clone() {
            let size = self.plan.content_bytes(self.number(place));
            if place > first && bytes + size > JOB_BYTES {
                jobs.push(Job::Entries(first..place));
                (first, bytes) = (place, 0);
            }
            bytes += HEADERS_BYTES + size;
        }
        jobs.push(Job::Entries(first..entries.end));
    }

    fn number(&self, place: u32) -> u32 {
        self.order[place as usize]
    }

    fn read_jobs(&self, work: &Mutex<Receiver<(Job, Sender)>>, blocks: &Blocks) {
        loop {
            let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((job, sender)) = next else {
                return;
            };
            let mut outlet = Outlet::new(blocks, &sender, job.is_new());
            let outcome = self.read(&job, &mut outlet).and_then(|()| outlet.flush());
            if let Err(error) = outcome {
                // Nobody listens if an earlier job failed; that one counts.
                let _ = sender.send(Err(error));
            }
        }
    }

    fn read(&self, job: &Job, outlet: &mut Outlet<'_>) -> Result<(), CopyError> {
        match job {
            Job::Kept { from, length, .. } => self.read_kept(*from, *length, outlet),
            Job::Entries(places) => places.clone().try_for_each(|place| {
                let number = self.number(place);
                write_entry(self.plan, number, true, outlet, self.interrupt)
            }),
            Job::Header(place) => {
                let number = self.number(*place);
                write_entry(self.plan, number, false, outlet, self.interrupt)
            }
            Job::End => outlet.write(&[0; END_BYTES as usize]),
        }
    }

    fn read_kept(&self, from: u64, length: u64, outlet: &mut Outlet<'_>) -> Result<(), CopyError> {
        let Some(predecessor) = self.predecessor else {
            return Ok(());
        };
        let (mut from, end) = (from, from + length);
        while from < end {
            self.interrupt.check()?;
            let space = outlet.space()?;
            let wanted = usize::try_from(end - from).unwrap_or(usize::MAX);
            let wanted = wanted.min(space.len());
            let count = predecessor.layer().read_at(from, &mut space[..wanted])?;
            if count == 0 {
                let index = predecessor.layer().index();
                return Err(index.bad("its tar is shorter than it says").into());
            }
            outlet.advance(count);
            from += count as u64;
        }
        Ok(())
    }
}

impl Job {
    fn is_new(&self) -> bool {
        !matches!(
            self,
            Job::Kept {
                is_copied: false,
                ..
            }
        )
    }
}

/// Passes everything that a job says on, and returns where in the tar it ended.
fn drain(
    incoming: &Incoming,
    start: u64,
    pipeline: &mut Pipeline,
    placed: &mut dyn FnMut(u32, u64),
) -> Result<u64, CopyError> {
    let mut position = start;
    for messages in incoming {
        for message in messages? {
            match message {
                Message::Entry(number, offset) => placed(number, start + offset),
                Message::Block(block, is_new) => {
                    position += block.bytes().len() as u64;
                    pipeline.push(block, is_new)?;
                }
            }
        }
    }
    Ok(position)
}

/// Where a reading thread puts the bytes of its job.
pub(crate) struct Outlet<'job> {
    blocks: &'job Blocks,
    sender: &'job Sender,
    block: Block,
    entries: Vec<Message>,
    is_new: bool,
    position: u64,
}

impl<'job> Outlet<'job> {
    fn new(blocks: &'job Blocks, sender: &'job Sender, is_new: bool) -> Outlet<'job> {
        Outlet {
            blocks,
            sender,
            block: blocks.take(),
            entries: Vec::new(),
            is_new,
            position: 0,
        }
    }

    /// Bytes that the job has written so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Says that an entry is complete and everything about it known, and where its content began.
    pub(crate) fn entry(&mut self, number: u32, content: u64) {
        self.entries.push(Message::Entry(number, content));
    }

    /// Room to put bytes into; never empty. Follow with [`Outlet::advance`].
    pub(crate) fn space(&mut self) -> Result<&mut [u8], CopyError> {
        if self.block.space().is_empty() {
            self.flush()?;
        }
        Ok(self.block.space())
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.block.advance(count);
        self.position += count as u64;
    }

    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), CopyError> {
        while !bytes.is_empty() {
            let space = self.space()?;
            let count = space.len().min(bytes.len());
            space[..count].copy_from_slice(&bytes[..count]);
            self.advance(count);
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Appends zeros up to the next multiple of 512.
    pub(crate) fn pad(&mut self) -> Result<(), CopyError> {
        match (self.position % 512) as usize {
            0 => Ok(()),
            over => self.write(&[0; 512][over..]),
        }
    }

    /// Hands over what is there.
    fn flush(&mut self) -> Result<(), CopyError> {
        let mut messages = std::mem::take(&mut self.entries);
        if !self.block.is_empty() {
            let next = self.blocks.take();
            let block = std::mem::replace(&mut self.block, next);
            messages.push(Message::Block(block, self.is_new));
        }
        // Whoever no longer listens has failed already.
        self.sender
            .send(Ok(messages))
            .map_err(|_| LayerError::Interrupted.into())
    }
}

impl Drop for Outlet<'_> {
    fn drop(&mut self) {
        self.blocks.give_back(std::mem::take(&mut self.block));
    }
}
