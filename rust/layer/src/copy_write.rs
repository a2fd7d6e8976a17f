//! Carrying out a planned copy: one pass over the files, straight into a layer.

use std::sync::PoisonError;

use dissolver_digest::ResumableSha256;

use crate::assemble::Assembly;
use crate::checkpoints::Checkpoint;
use crate::copy_error::CopyError;
use crate::copy_plan::CopyPlan;
use crate::diff_id::DiffId;
use crate::entry::Kind;
use crate::error::LayerError;
use crate::index_body::IndexBody;
use crate::index_build::{IndexBuilder, LayerInfo, TarFacts};
use crate::interrupt::Interrupt;
use crate::layers::{Layers, NewPack, Unpublished};
use crate::pipeline::Pipeline;
use crate::predecessor::Predecessor;
use crate::splice::{Part, Splice};
use crate::tar_order::{Sort, tar_order};
use crate::whiteout;

/// Smaller tars are not worth being shared: they take less than what finding out costs.
const LEAST_TO_SHARE: u64 = 1 << 20;
/// Fewer unknown bytes are read a second time sooner than threads are started for them.
const LEAST_TO_WRITE_AHEAD: u64 = 1 << 20;

/// A layer that is complete but for its name.
#[derive(Debug)]
pub(crate) struct Assembled {
    place: Unpublished,
    body: IndexBody,
    facts: TarFacts,
    pack: NewPack,
    checkpoints: Vec<Checkpoint>,
}

impl Assembled {
    fn commit(self) -> Result<LayerInfo, LayerError> {
        let info = self.place.write_index(&self.body, &self.facts)?;
        if info.tar_bytes >= LEAST_TO_SHARE {
            self.place
                .write_checkpoints(info.diff_id, &self.checkpoints)?;
        }
        self.place.publish(info.diff_id, self.pack)?;
        Ok(info)
    }
}

impl CopyPlan {
    /// Says where the layer would be written, before its digest is asked for.
    ///
    /// Where most bytes have to be read for the digest, they are then written at
    /// the same time, to a layer that has no name yet: [`CopyPlan::write`] gives it
    /// one, and without that it goes with the plan. With a predecessor nothing is
    /// written ahead: little is likely to be new. Only the first call counts.
    pub fn prepare(&self, layers: &Layers, predecessor: Option<DiffId>) {
        let predecessor = predecessor.and_then(|diff_id| Predecessor::open(layers, diff_id));
        if predecessor.is_none() {
            self.destined.get_or_init(|| layers.clone());
        }
    }

    /// Writes the layer that was planned and makes it visible.
    ///
    /// `predecessor` is a layer that an earlier copy of the same made: what did not
    /// change since is shared with it. Memory use does not depend on the number or size of the
    /// files beyond the plan itself; reading, hashing and writing overlap. What is
    /// written is what was hashed for [`CopyPlan::digest`], which is called first
    /// if nobody did.
    ///
    /// # Errors
    ///
    /// A file that is not what it was when it was listed and hashed, by its name
    /// in the origin; nothing is kept then. [`LayerError::Io`] also when the disk is full.
    pub fn write(
        &self,
        layers: &Layers,
        predecessor: Option<DiffId>,
        interrupt: &Interrupt,
    ) -> Result<LayerInfo, CopyError> {
        self.check_names()?;
        self.hash_contents(interrupt)?;
        if let Some(ahead) = self.written_ahead().take() {
            if ahead.place.is_in(layers) {
                return Ok(ahead.commit()?);
            }
        }
        let place = Unpublished::new(layers)?;
        let predecessor = predecessor.and_then(|diff_id| Predecessor::open(layers, diff_id));
        if let Some(predecessor) = predecessor {
            // A predecessor that cannot be read makes the copy slower, not impossible.
            let order = self.tar_order();
            if let Ok(Some(splice)) = Splice::of(self, &order, &predecessor, place.pack_name()) {
                let assembled = self.rebuild(place, &order, &predecessor, splice, interrupt)?;
                return Ok(assembled.commit()?);
            }
        }
        Ok(self.build(place, interrupt)?.commit()?)
    }

    /// Writes ahead, if that was prepared for and most bytes are to be read anyway.
    pub(crate) fn write_ahead(&self, interrupt: &Interrupt) -> Result<u64, CopyError> {
        let Some(layers) = self.destined.get() else {
            return Ok(0);
        };
        let unknown = self.unknown_bytes();
        let is_most = unknown >= LEAST_TO_WRITE_AHEAD && unknown >= self.total_bytes() / 2;
        if !is_most || self.check_names().is_err() {
            return Ok(0);
        }
        let outcome = Unpublished::new(layers)
            .map_err(CopyError::from)
            .and_then(|place| self.build(place, interrupt));
        self.learn_hard_links();
        for (_, tree) in self.trees() {
            tree.save_stat_cache();
        }
        match outcome {
            Ok(assembled) => *self.written_ahead() = Some(assembled),
            // The digest alone may turn out to be all that is needed.
            Err(CopyError::Layer(error)) if error.is_disk_full() => {}
            Err(error) => return Err(error),
        }
        Ok(unknown)
    }

    fn written_ahead(&self) -> std::sync::MutexGuard<'_, Option<Assembled>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the whole tar to a pack of its own.
    fn build(&self, place: Unpublished, interrupt: &Interrupt) -> Result<Assembled, CopyError> {
        // Declared after `place`: its threads end before the directory goes.
        let mut pipeline = Pipeline::start(place.pack_path(), ResumableSha256::default())?;
        let order = self.tar_order();
        let assembly = Assembly {
            plan: self,
            order: &order,
            predecessor: None,
            interrupt,
        };
        let parts = [
            (0, Part::Fresh(0..self.entries.len() as u32)),
            (0, Part::End),
        ];
        let mut contents = vec![0; self.entries.len()];
        assembly.run(&parts, 0, &mut pipeline, &mut |number, content| {
            contents[number as usize] = content;
        })?;
        let (body, hashed) = std::thread::scope(|scope| {
            // The last blocks are hashed and written meanwhile.
            let body = scope.spawn(|| self.index_body(&contents));
            let hashed = pipeline.finish(place.fsync());
            (body.join(), hashed)
        });
        let hashed = hashed?;
        let body = body.map_err(|_| LayerError::Interrupted)??;
        Ok(Assembled {
            place,
            body,
            facts: TarFacts::whole(&hashed),
            pack: NewPack::Whole,
            checkpoints: hashed.checkpoints,
        })
    }

    /// Writes what the predecessor lacks.
    fn rebuild(
        &self,
        place: Unpublished,
        order: &[u32],
        predecessor: &Predecessor,
        splice: Splice,
        interrupt: &Interrupt,
    ) -> Result<Assembled, CopyError> {
        let (before, hash) = predecessor.resume_before(splice.first_difference);
        let mut pipeline = Pipeline::start(place.pack_path(), hash)?;
        let assembly = Assembly {
            plan: self,
            order,
            predecessor: Some(predecessor),
            interrupt,
        };
        let (body, sent) = std::thread::scope(|scope| {
            // All offsets are known: the index is made while the rest of the tar is hashed.
            let body = scope.spawn(|| self.index_body(&splice.contents));
            let sent = assembly.run(&splice.parts, hash.length(), &mut pipeline, &mut |_, _| {});
            (body.join(), sent)
        });
        sent?;
        let hashed = pipeline.finish(place.fsync())?;
        let body = body.map_err(|_| LayerError::Interrupted)??;
        let pack = match splice.new_bytes {
            0 => NewPack::None,
            _ => NewPack::Part(splice.pack),
        };
        Ok(Assembled {
            place,
            body,
            facts: TarFacts {
                diff_id: hashed.diff_id,
                tar_bytes: hashed.tar_bytes,
                extents: splice.extents,
            },
            pack,
            checkpoints: [before, &hashed.checkpoints].concat(),
        })
    }

    /// Numbers of the entries in the order of the tar.
    fn tar_order(&self) -> Vec<u32> {
        let sorts = self.entries.iter().map(|planned| {
            let facts = self.facts(planned);
            Sort {
                kind: facts.kind,
                is_hard_link: facts.hard_link.is_some(),
                size: facts.size,
            }
        });
        tar_order((0..).zip(sorts))
    }

    /// The index of a tar in which the content of each entry begins at the given offset.
    fn index_body(&self, contents: &[u64]) -> Result<IndexBody, LayerError> {
        let mut index = IndexBuilder::default();
        let names = self.entries.iter().map(|planned| planned.path.len());
        index.reserve(self.entries.len(), names.sum());
        for (planned, content) in self.entries.iter().zip(contents) {
            let mut entry = self.facts(planned).to_entry();
            entry.data_offset = *content;
            debug_assert!(
                entry.kind != Kind::File || entry.digest.is_some() || entry.hard_link.is_some()
            );
            index.push(&entry);
        }
        index.body()
    }

    /// The bytes of content that entry `number` has in the tar.
    pub(crate) fn content_bytes(&self, number: u32) -> u64 {
        let planned = &self.entries[number as usize];
        let has_content = planned.hard_link.is_none();
        if has_content {
            self.facts(planned).size
        } else {
            0
        }
    }

    /// The bytes of the files that have to be read for the digest.
    fn unknown_bytes(&self) -> u64 {
        let unknown = self.trees().map(|(part, tree)| {
            let unknown = self
                .read_from(part)
                .filter(|number| tree.lacks_content(*number));
            unknown.map(|number| tree.stat(number).size).sum::<u64>()
        });
        unknown.sum()
    }

    fn check_names(&self) -> Result<(), LayerError> {
        for planned in &self.entries {
            if whiteout::is_reserved(&planned.path) {
                return Err(LayerError::BadEntry {
                    path: planned.path.clone(),
                    reason: "has a name that layers reserve for whiteouts",
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "copy_write_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "rebuild_tests.rs"]
mod rebuild_tests;
