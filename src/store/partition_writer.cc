// SPDX-License-Identifier: Apache-2.0
#include "store/partition_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/replace_file.h"
#include "store/catalogue_sum.h"

namespace tailgate {
namespace {

namespace fs = std::filesystem;

// To read a trace its block is unpacked; larger ones are compressed a little better.
constexpr std::size_t kBlockBytes = 256 << 10;

}  // namespace

void remove_derived(const std::string& folder) {
  std::error_code error;
  fs::remove(sum_path(folder), error);
  for (const char* tail : {"", "-wal", "-shm", "-journal"}) fs::remove(catalogue_path(folder) + tail, error);
  std::vector<fs::path> indexes;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename().string().starts_with("terms-")) indexes.push_back(at->path());
  }
  for (const fs::path& path : indexes) fs::remove(path, error);
}

std::string filter_path(const std::string& folder) { return folder + "/ids.filter"; }

bool partition_whole(const std::string& folder) {
  const auto db = Database::open_to_read(catalogue_path(folder));
  if (!db) return false;
  auto rows = (*db)->prepare("PRAGMA user_version");
  if (!rows || !rows->step().value_or(false) || rows->number(0) != Catalogue::kVersion) return false;
  std::int64_t end = 0, next = 0;
  rows = (*db)->prepare("SELECT first, last FROM posting_files");
  if (!rows) return false;
  while (true) {
    const Result<bool> row = rows->step();
    if (!row) return false;
    if (!*row) break;
    end = std::max(end, rows->number(1) + 1);
    if (!PostingFile::open(posting_path(folder, from_sql(rows->number(0))))) return false;
  }
  rows = (*db)->prepare("SELECT value FROM meta WHERE name='next_number'");
  if (!rows || !rows->step().value_or(false)) return false;
  next = rows->number(0);
  rows = (*db)->prepare("SELECT value FROM meta WHERE name='blocks_end'");
  if (!rows || !rows->step().value_or(false)) return false;
  std::error_code error;
  return next == end && from_sql(rows->number(0)) == fs::file_size(block_path(folder), error);
}

PartitionWriter::PartitionWriter(const std::string& folder, const PartitionOptions& options)
    : folder_(folder), options_(options), partition_(std::make_shared<Partition>(folder, recent_)) {}

Result<void> PartitionWriter::open_catalogue(bool& made_again) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(block_path(folder_), error);
  const std::uint64_t blocks = error ? 0 : size;
  for (bool again = false;; again = true) {
    auto opened = Catalogue::open(catalogue_path(folder_));
    bool good = opened.has_value() && (*opened)->blocks_end() <= blocks;
    if (good) {
      const auto files = (*opened)->posting_files();
      good = files.has_value();
      for (std::size_t i = 0; good && i != files->size(); ++i) {
        good = PostingFile::open(posting_path(folder_, (*files)[i])).has_value();
      }
    }
    if (good) {
      catalogue_ = std::move(*opened);
      made_again = again;
      return {};
    }
    const bool damaged = opened.has_value() || opened.error().kind == ErrorKind::kBadInput;
    if (again || !damaged) {
      return opened ? fail(ErrorKind::kIo, fmt::format("cannot make '{}' again", catalogue_path(folder_)))
                    : tl::unexpected(opened.error());
    }
    opened = tl::unexpected(Error{ErrorKind::kIo, ""});  // closes it
    remove_derived(folder_);
  }
}

Result<std::unique_ptr<PartitionWriter>> PartitionWriter::open(const std::string& folder,
                                                               const PartitionOptions& options,
                                                               PartitionRecovery* recovery) {
  std::unique_ptr<PartitionWriter> writer(new PartitionWriter(folder, options));
  std::error_code error;
  const bool fresh = fs::create_directory(folder, error);
  if (error) return fail(ErrorKind::kIo, fmt::format("cannot make the folder '{}': {}", folder, error.message()));
  if (!fresh && fs::exists(block_path(folder), error)) {  // a newer version, before anything is written
    const auto file = BlockReader::open(block_path(folder));
    if (!file && fs::file_size(block_path(folder), error) >= kBlockFileHeaderBytes) {
      return tl::unexpected(file.error());
    }
  }
  fs::remove(sum_path(folder), error);  // it is about to change
  PartitionRecovery found;
  if (auto done = writer->open_catalogue(found.catalogue_made_again); !done) return tl::unexpected(done.error());
  Catalogue& catalogue = *writer->catalogue_;
  const auto unposted = catalogue.unposted_block();
  if (!unposted) return tl::unexpected(unposted.error());
  BlockWriterOptions blocks;
  blocks.codec = options.codec;
  blocks.created_ns = options.created_ns;
  blocks.from = *unposted ? std::min(**unposted, catalogue.blocks_end()) : catalogue.blocks_end();
  blocks.from_number = catalogue.next_block();
  Result<void> replayed;
  auto opened = BlockWriter::open(block_path(folder), blocks, &found.blocks, [&](const Block& block) {
    replayed = writer->replay(block);
    return replayed.has_value();
  });
  if (!opened) return tl::unexpected(opened.error());
  if (!replayed) return tl::unexpected(replayed.error());
  writer->blocks_ = std::move(*opened);
  const auto file = writer->partition_->blocks();
  if (!file) return tl::unexpected(file.error());
  writer->created_ns_ = (*file)->created_ns();
  if (fresh) {
    if (auto done = sync_directory(folder); !done) return tl::unexpected(done.error());
    if (auto done = sync_directory(fs::path(folder).parent_path()); !done) return tl::unexpected(done.error());
  }
  if (recovery) *recovery = found;
  return writer;
}

Result<void> PartitionWriter::replay(const Block& block) {
  const bool known = block.position < catalogue_->blocks_end();  // only the index lacks it
  if (!known) {
    if (auto done = catalogue_->begin(); !done) return done;
  }
  for (std::size_t i = 0; i != block.records.size(); ++i) {
    const Record& record = block.records[i];
    const auto part = record.kind == kPartRecord ? read_part(record.bytes) : std::nullopt;
    if (!part) continue;
    const TraceId id = TraceId::from(record.id.data());
    if (!known) {
      const PartFacts facts = facts_.read(part->otlp, catalogue_->known());
      if (auto done = add(id, *part, facts, {block.position, static_cast<std::uint32_t>(i)}); !done) return done;
      continue;
    }
    const auto trace = catalogue_->find(id);
    if (!trace) return tl::unexpected(trace.error());
    KnownNames unused;
    if (*trace) recent_->add(facts_.read(part->otlp, unused).terms, **trace);
  }
  if (!known) {
    if (auto done = catalogue_->commit(block.next, block.number + 1); !done) return done;
  }
  // A file of postings is for all that the catalogue has, so it waits until all of that is read again.
  if (block.next < catalogue_->blocks_end() || !recent_->full(options_.parts_per_posting_file)) return {};
  return write_postings();
}

Result<void> PartitionWriter::add(const TraceId& id, const PartRecord& part, const PartFacts& facts,
                                  const PartPlace& place) {
  const std::uint64_t number = catalogue_->next_number();
  const auto trace = catalogue_->add(id, part, place, facts);
  if (!trace) return tl::unexpected(trace.error());
  if (!*trace) return {};
  recent_->add(facts.terms, **trace);
  if (**trace != number || !options_.earlier) return {};
  const std::optional<EarlierParts> earlier = options_.earlier(id);
  return earlier ? catalogue_->add_crossing(id, *earlier) : Result<void>();
}

// Spans are read for the catalogue when they have just been copied: they are still in the processor's cache then.
Result<void> PartitionWriter::write_blocks(std::span<const KeptTracePtr> traces, std::vector<Written>& written) {
  std::size_t first = 0;
  for (const KeptTracePtr& trace : traces) {
    front_.clear();
    append_part_front(front_, *trace);
    if (!blocks_->add(kPartRecord, trace->id.view(), front_, trace->otlp)) {
      return fail(ErrorKind::kPermanent, fmt::format("trace {} has {} bytes, more than a block may have",
                                                     trace->id.hex(), trace->otlp.size()));
    }
    written.push_back({facts_.read(trace->otlp, catalogue_->known()), {}});
    if (blocks_->pending_bytes() < kBlockBytes && written.size() != traces.size()) continue;
    const Result<std::uint64_t> position = blocks_->write();
    if (!position) return tl::unexpected(position.error());
    for (std::size_t i = first; i != written.size(); ++i) {
      written[i].place = {*position, static_cast<std::uint32_t>(i - first)};
    }
    first = written.size();
  }
  return blocks_->sync();
}

Result<void> PartitionWriter::append(std::span<const KeptTracePtr> traces) {
  std::vector<Written> written;
  written.reserve(traces.size());
  if (auto done = write_blocks(traces, written); !done) {
    blocks_->roll_back();
    for (const Written& w : written) catalogue_->known().forget(w.facts);
    return done;
  }
  stale_ = true;
  if (auto done = catalogue_->begin(); !done) return done;
  for (std::size_t i = 0; i != traces.size(); ++i) {
    const KeptTrace& t = *traces[i];
    PartRecord part{t.start_ns,       t.end_ns, t.spans,        t.errors,    t.has_root, t.late,
                    t.verdict.reason, t.policy, t.root_service, t.root_name, t.otlp};
    if (auto done = add(t.id, part, written[i].facts, written[i].place); !done) {
      catalogue_->roll_back();
      return done;
    }
  }
  if (auto done = catalogue_->commit(blocks_->size(), blocks_->next_number()); !done) return done;
  stale_ = false;
  if (!recent_->full(options_.parts_per_posting_file)) return {};
  // The batch is stored; an index that could not be written is tried again with the next one.
  (void)write_postings();
  return {};
}

Result<void> PartitionWriter::write_postings() {
  const Result<std::uint64_t> first = catalogue_->posted_end();
  if (!first) return tl::unexpected(first.error());
  if (*first == catalogue_->next_number()) return {};
  if (auto done = replace_file(posting_path(folder_, *first), recent_->file()); !done) return done;
  if (auto done = catalogue_->add_posting_file(*first, catalogue_->next_number() - 1); !done) return done;
  recent_->clear();
  return {};
}

Result<IdFilter> PartitionWriter::finish() {
  if (auto done = write_postings(); !done) return tl::unexpected(done.error());
  IdFilter filter(catalogue_->next_number());
  if (auto done = catalogue_->each_id([&](const TraceId& id) { filter.add(id); }); !done) {
    return tl::unexpected(done.error());
  }
  if (auto done = filter.save(filter_path(folder_)); !done) return tl::unexpected(done.error());
  partition_->let_go();
  catalogue_.reset();
  (void)seal_catalogue(folder_);  // if somebody reads it just now, whoever checks it seals it later
  return filter;
}

}  // namespace tailgate
