// SPDX-License-Identifier: Apache-2.0
#include "store/catalogue.h"

#include <fmt/format.h>

#include <algorithm>

#include "blocks/format.h"

namespace tailgate {
namespace {

constexpr std::int64_t kCallsStepNs = std::int64_t{600} * 1'000'000'000;

constexpr const char* kTables = R"(
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE traces(number INTEGER PRIMARY KEY, trace_id BLOB NOT NULL, start_ns INTEGER NOT NULL,
  end_ns INTEGER NOT NULL, longest_span_ns INTEGER NOT NULL, spans INTEGER NOT NULL, errors INTEGER NOT NULL,
  has_root INTEGER NOT NULL, root_service TEXT NOT NULL, root_name TEXT NOT NULL, policy TEXT NOT NULL,
  close_reason TEXT NOT NULL, block INTEGER NOT NULL, record INTEGER NOT NULL, content INTEGER NOT NULL);
CREATE INDEX traces_by_id ON traces(trace_id);
CREATE INDEX traces_by_start ON traces(start_ns);
CREATE TABLE more_parts(number INTEGER PRIMARY KEY, trace INTEGER NOT NULL, block INTEGER NOT NULL,
  record INTEGER NOT NULL, content INTEGER NOT NULL);
CREATE INDEX more_parts_by_trace ON more_parts(trace);
CREATE TABLE services(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, first_ns INTEGER NOT NULL,
  last_ns INTEGER NOT NULL);
CREATE TABLE trace_services(service INTEGER, start_ns INTEGER, trace INTEGER,
  PRIMARY KEY(service, start_ns, trace)) WITHOUT ROWID;
CREATE TABLE operations(service TEXT, name TEXT, kind INTEGER, PRIMARY KEY(service, name, kind)) WITHOUT ROWID;
CREATE TABLE attribute_names(name TEXT, scope INTEGER, PRIMARY KEY(name, scope)) WITHOUT ROWID;
CREATE TABLE attribute_values(name TEXT, scope INTEGER, value TEXT, PRIMARY KEY(name, scope, value)) WITHOUT ROWID;
CREATE TABLE calls(parent TEXT, child TEXT, start_ns INTEGER, calls INTEGER NOT NULL,
  PRIMARY KEY(parent, child, start_ns)) WITHOUT ROWID;
CREATE TABLE crossing(trace_id BLOB PRIMARY KEY, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE posting_files(first INTEGER PRIMARY KEY, last INTEGER NOT NULL, start_ns INTEGER NOT NULL,
  end_ns INTEGER NOT NULL);
)";

}  // namespace

ServiceKey unlisted_service(std::string_view name) {
  return {-1 - static_cast<std::int64_t>(hash_bytes(name, 0) >> 1)};
}

Result<std::unique_ptr<Catalogue>> Catalogue::open(const std::string& path) {
  auto db = Database::open(path);
  if (!db) return tl::unexpected(db.error());
  std::unique_ptr<Catalogue> out(new Catalogue(std::move(*db)));
  Database& d = *out->db_;
  // A commit that the machine forgets is made again from the blocks, so SQLite syncs only its checkpoints.
  if (auto done = d.run("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-8192;"
                        "PRAGMA wal_autocheckpoint=4000; PRAGMA journal_size_limit=33554432;");
      !done) {
    return tl::unexpected(done.error());
  }
  auto version = d.prepare("PRAGMA user_version");
  if (!version) return tl::unexpected(version.error());
  const Result<bool> row = version->step();
  if (!row) return tl::unexpected(row.error());
  const std::int64_t found = version->number(0);
  version->reset();
  if (found > kVersion) {
    return fail(ErrorKind::kRefused,
                fmt::format("expected version {} of the catalogue, got {} in '{}'. A newer Tailgate wrote it: start "
                            "that one, or set another directory",
                            kVersion, found, path));
  }
  if (found != 0 && found < kVersion) {
    return fail(ErrorKind::kBadInput, fmt::format("version {} of the catalogue in '{}' is an older one", found, path));
  }
  if (found == 0) {
    if (auto done = d.run(fmt::format("BEGIN; {} PRAGMA user_version={}; COMMIT;", kTables, kVersion)); !done) {
      return fail(ErrorKind::kBadInput, done.error().text);
    }
  }
  if (auto done = out->prepare(); !done) return fail(ErrorKind::kBadInput, done.error().text);
  if (auto done = out->load(); !done) return fail(ErrorKind::kBadInput, done.error().text);
  return out;
}

Result<void> Catalogue::prepare() {
  const std::pair<Statement*, std::string_view> all[] = {
      {&find_, "SELECT number, content, start_ns, end_ns, longest_span_ns, has_root FROM traces WHERE trace_id=?"},
      {&find_part_, "SELECT 1 FROM more_parts WHERE trace=? AND content=?"},
      {&add_trace_, "INSERT INTO traces VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"},
      {&add_part_, "INSERT INTO more_parts VALUES(?,?,?,?,?)"},
      {&widen_,
       "UPDATE traces SET start_ns=?2, end_ns=?3, longest_span_ns=?4, spans=spans+?5, errors=errors+?6,"
       " root_service=iif(has_root OR NOT ?7, root_service, ?8), root_name=iif(has_root OR NOT ?7, root_name, ?9),"
       " has_root=has_root OR ?7 WHERE number=?1"},
      {&add_service_, "INSERT INTO services(name, first_ns, last_ns) VALUES(?,?,?) RETURNING id"},
      {&widen_service_, "UPDATE services SET first_ns=?2, last_ns=?3 WHERE id=?1"},
      {&of_service_, "INSERT OR IGNORE INTO trace_services VALUES(?,?,?)"},
      {&find_service_,
       "SELECT service FROM trace_services WHERE service IN (SELECT id FROM services) AND start_ns=? "
       "AND trace=?"},
      {&move_services_, "DELETE FROM trace_services WHERE service=? AND start_ns=? AND trace=?"},
      {&add_operation_, "INSERT OR IGNORE INTO operations VALUES(?,?,?)"},
      {&add_name_, "INSERT OR IGNORE INTO attribute_names VALUES(?,?)"},
      {&add_value_, "INSERT OR IGNORE INTO attribute_values VALUES(?,?,?)"},
      {&add_calls_,
       "INSERT INTO calls SELECT p.name, c.name, ?3, ?4 FROM services p, services c WHERE p.id=?1 AND c.id=?2 "
       "ON CONFLICT DO UPDATE SET calls=calls+excluded.calls"},
      {&add_crossing_,
       "INSERT INTO crossing VALUES(?,?,?) ON CONFLICT DO UPDATE SET "
       "start_ns=min(start_ns, excluded.start_ns), end_ns=max(end_ns, excluded.end_ns)"},
      {&widen_files_,
       "UPDATE posting_files SET start_ns=min(start_ns, ?2), end_ns=max(end_ns, ?3) WHERE ?1 BETWEEN first AND last "
       "OR EXISTS(SELECT 1 FROM more_parts WHERE trace=?1 AND number BETWEEN first AND last)"},
      {&set_meta_, "INSERT INTO meta VALUES(?,?) ON CONFLICT DO UPDATE SET value=excluded.value"},
  };
  for (const auto& [statement, sql] : all) {
    auto made = db_->prepare(sql);
    if (!made) return tl::unexpected(made.error());
    *statement = std::move(*made);
  }
  return {};
}

Result<void> Catalogue::each(std::string_view sql, const std::function<void(Statement&)>& take) {
  auto rows = db_->prepare(sql);
  if (!rows) return tl::unexpected(rows.error());
  while (true) {
    const Result<bool> row = rows->step();
    if (!row) return tl::unexpected(row.error());
    if (!*row) return {};
    take(*rows);
  }
}

Result<void> Catalogue::load() {
  const std::pair<std::string_view, std::uint64_t*> numbers[] = {
      {"blocks_end", &blocks_end_},  {"next_block", &next_block_},
      {"next_number", &next_},       {"longest_trace_ns", &longest_trace_ns_},
      {"traces", &traces_},          {"spans", &spans_},
      {"last_end_ns", &last_end_ns_}};
  Result<void> meta = each("SELECT name, value FROM meta", [&](Statement& s) {
    for (const auto& [name, out] : numbers) {
      if (s.text(0) == name) *out = from_sql(s.number(1));
    }
  });
  if (!meta) return meta;
  Result<void> done = each("SELECT name, id, first_ns, last_ns FROM services", [&](Statement& s) {
    services_[std::string(s.text(0))] = {s.number(1), s.number(2), s.number(3), false};
  });
  if (!done) return done;
  const auto scope = [](std::int64_t n) { return static_cast<AttributeScope>(n); };
  done = each("SELECT service, name, kind FROM operations", [&](Statement& s) {
    known_.operation(KnownNames::service_hash(s.text(0)), span_name_term(s.text(1)),
                     static_cast<std::uint32_t>(s.number(2)));
  });
  if (!done) return done;
  done = each("SELECT name, scope FROM attribute_names",
              [&](Statement& s) { known_.name(scope(s.number(1)), key_term(s.text(0))); });
  if (!done) return done;
  return each("SELECT name, scope, value FROM attribute_values", [&](Statement& s) {
    const TermHash key = key_term(s.text(0));
    const KnownNames::Found of = known_.name(scope(s.number(1)), key);
    if (of.name != nullptr) known_.value(*of.name, scope(s.number(1)), value_term(key, s.text(2)));
  });
}

Result<void> Catalogue::begin() { return db_->run("BEGIN IMMEDIATE"); }
void Catalogue::roll_back() { (void)db_->run("ROLLBACK"); }

Result<ServiceKey> Catalogue::service(const std::string& name, const PartRecord& part) {
  const std::int64_t start = to_sql(part.start_ns), end = std::max(start, to_sql(part.end_ns));
  const auto known = services_.find(name);
  if (known != services_.end()) {
    Service& s = known->second;
    if (start < s.first_ns || end > s.last_ns) {
      s.first_ns = std::min(s.first_ns, start);
      s.last_ns = std::max(s.last_ns, end);
      s.widened = true;
    }
    return ServiceKey{s.id};
  }
  if (services_.size() >= kListedServicesMax || name.size() > kKnownTextMax) return unlisted_service(name);
  const Result<bool> row = add_service_.bind(1, name).bind(2, start).bind(3, end).step();
  if (!row) return tl::unexpected(row.error());
  const std::int64_t id = add_service_.number(0);
  add_service_.reset();
  services_[name] = {id, start, end, false};
  return ServiceKey{id};
}

Result<std::optional<TraceNumber>> Catalogue::find(const TraceId& id) {
  const Result<bool> row = find_.bind_blob(1, id.view()).step();
  std::optional<TraceNumber> out;
  if (row && *row) out = static_cast<TraceNumber>(find_.number(0));
  find_.reset();
  if (!row) return tl::unexpected(row.error());
  return out;
}

// False: the catalogue has this part already.
Result<bool> Catalogue::extend(TraceNumber trace, const PartRecord& part, const PartPlace& place,
                               const PartFacts& facts) {
  // find_ stands on the row.
  const bool same = find_.number(1) == facts.content;
  const std::int64_t start = find_.number(2), end = find_.number(3), longest = find_.number(4);
  find_.reset();
  if (same) return false;
  const Result<bool> known = find_part_.bind(1, std::int64_t{trace}).bind(2, facts.content).run();
  if (!known) return tl::unexpected(known.error());
  if (*known) return false;
  auto done = add_part_.bind(1, to_sql(next_))
                  .bind(2, std::int64_t{trace})
                  .bind(3, to_sql(place.block))
                  .bind(4, std::int64_t{place.record})
                  .bind(5, facts.content)
                  .run();
  if (!done) return tl::unexpected(done.error());
  const std::int64_t first = std::min(start, to_sql(part.start_ns));
  const std::int64_t last = std::max(end, to_sql(part.end_ns));
  done = widen_.bind(1, std::int64_t{trace})
             .bind(2, first)
             .bind(3, last)
             .bind(4, std::max(longest, to_sql(facts.longest_ns)))
             .bind(5, std::int64_t{part.spans})
             .bind(6, std::int64_t{part.errors})
             .bind(7, std::int64_t{part.has_root})
             .bind(8, part.root_service)
             .bind(9, part.root_name)
             .run();
  if (!done) return tl::unexpected(done.error());
  longest_trace_ns_ = std::max(longest_trace_ns_, from_sql(last - first));
  if (first != start || last != end) {
    done = widen_files_.bind(1, std::int64_t{trace}).bind(2, first).bind(3, last).run();
    if (!done) return done;
  }
  if (first == start) return true;
  std::vector<std::int64_t> moved;
  find_service_.bind(1, start).bind(2, std::int64_t{trace});
  while (true) {
    Result<bool> row = find_service_.step();
    if (!row) return row;
    if (!*row) break;
    moved.push_back(find_service_.number(0));
  }
  find_service_.reset();
  for (const std::int64_t id : moved) {
    done = move_services_.bind(1, id).bind(2, start).bind(3, std::int64_t{trace}).run();
    if (done) done = of_service_.bind(1, id).bind(2, first).bind(3, std::int64_t{trace}).run();
    if (!done) return done;
  }
  return true;
}

Result<std::optional<TraceNumber>> Catalogue::add(const TraceId& id, const PartRecord& part, const PartPlace& place,
                                                  const PartFacts& facts) {
  const Result<bool> found = find_.bind_blob(1, id.view()).step();
  if (!found) return tl::unexpected(found.error());
  auto trace = static_cast<TraceNumber>(next_);
  std::int64_t start = to_sql(part.start_ns);
  if (*found) {
    trace = static_cast<TraceNumber>(find_.number(0));
    start = std::min(start, find_.number(2));
    const Result<bool> fresh = extend(trace, part, place, facts);
    if (!fresh) return tl::unexpected(fresh.error());
    if (!*fresh) return std::nullopt;
  } else {
    find_.reset();
    auto done = add_trace_.bind(1, std::int64_t{trace})
                    .bind_blob(2, id.view())
                    .bind(3, start)
                    .bind(4, to_sql(part.end_ns))
                    .bind(5, to_sql(facts.longest_ns))
                    .bind(6, std::int64_t{part.spans})
                    .bind(7, std::int64_t{part.errors})
                    .bind(8, std::int64_t{part.has_root})
                    .bind(9, part.root_service)
                    .bind(10, part.root_name)
                    .bind(11, part.policy)
                    .bind(12, kCloseReasonNames[static_cast<std::size_t>(part.close_reason)])
                    .bind(13, to_sql(place.block))
                    .bind(14, std::int64_t{place.record})
                    .bind(15, facts.content)
                    .run();
    if (!done) return tl::unexpected(done.error());
    if (part.end_ns > part.start_ns) {
      longest_trace_ns_ = std::max(longest_trace_ns_, part.end_ns - part.start_ns);
    }
    ++traces_;
  }
  ++next_;
  spans_ += part.spans;
  last_end_ns_ = std::max(last_end_ns_, part.end_ns);
  of_part_.clear();
  for (const std::string& name : facts.services) {
    const Result<ServiceKey> s = service(name, part);
    if (!s) return tl::unexpected(s.error());
    of_part_.push_back(*s);
    const auto done = of_service_.bind(1, s->id).bind(2, s->start(start)).bind(3, std::int64_t{trace}).run();
    if (!done) return tl::unexpected(done.error());
  }
  if (auto done = add_names(part, facts); !done) return tl::unexpected(done.error());
  return trace;
}

Result<void> Catalogue::add_names(const PartRecord& part, const PartFacts& facts) {
  Result<bool> done = true;
  for (const PartFacts::Operation& o : facts.operations) {
    if (done) done = add_operation_.bind(1, o.service).bind(2, o.name).bind(3, std::int64_t{o.kind}).run();
  }
  for (const PartFacts::Name& n : facts.names) {
    if (!done) break;
    Statement& add = n.has_value ? add_value_ : add_name_;
    add.bind(1, n.name).bind(2, static_cast<std::int64_t>(n.scope));
    if (n.has_value) add.bind(3, n.value);
    done = add.run();
  }
  const std::int64_t step = to_sql(part.start_ns) / kCallsStepNs * kCallsStepNs;
  for (const PartFacts::Calls& c : facts.calls) {
    const ServiceKey parent = of_part_[c.parent], child = of_part_[c.child];
    if (parent.listed() && child.listed()) calls_[{step, parent.id, child.id}] += c.calls;
  }
  if (!done) return tl::unexpected(done.error());
  return {};
}

Result<void> Catalogue::add_crossing(const TraceId& id, const EarlierParts& earlier) {
  const auto done =
      add_crossing_.bind_blob(1, id.view()).bind(2, to_sql(earlier.start_ns)).bind(3, to_sql(earlier.end_ns)).run();
  if (!done) return tl::unexpected(done.error());
  return {};
}

Result<void> Catalogue::add_posting_file(std::uint64_t first, std::uint64_t last) {
  auto add = db_->prepare(
      "INSERT OR REPLACE INTO posting_files SELECT ?1, ?2, min(start_ns), max(end_ns) FROM traces WHERE number BETWEEN "
      "?1 AND ?2 OR number IN (SELECT trace FROM more_parts WHERE number BETWEEN ?1 AND ?2)");
  if (!add) return tl::unexpected(add.error());
  if (auto done = add->bind(1, to_sql(first)).bind(2, to_sql(last)).run(); !done) return tl::unexpected(done.error());
  return {};
}

Result<void> Catalogue::commit(std::uint64_t end, std::uint64_t next_block) {
  for (auto& [name, s] : services_) {
    if (!s.widened) continue;
    if (auto done = widen_service_.bind(1, s.id).bind(2, s.first_ns).bind(3, s.last_ns).run(); !done) {
      return tl::unexpected(done.error());
    }
    s.widened = false;
  }
  for (const auto& [at, calls] : calls_) {
    const auto done = add_calls_.bind(1, at[1]).bind(2, at[2]).bind(3, at[0]).bind(4, to_sql(calls)).run();
    if (!done) return tl::unexpected(done.error());
  }
  calls_.clear();
  const std::pair<std::string_view, std::uint64_t> numbers[] = {
      {"blocks_end", end},          {"next_block", next_block},
      {"next_number", next_},       {"longest_trace_ns", longest_trace_ns_},
      {"traces", traces_},          {"spans", spans_},
      {"last_end_ns", last_end_ns_}};
  for (const auto& [name, value] : numbers) {
    if (auto done = set_meta_.bind(1, name).bind(2, to_sql(value)).run(); !done) return tl::unexpected(done.error());
  }
  if (auto done = db_->run("COMMIT"); !done) return done;
  blocks_end_ = end;
  next_block_ = next_block;
  return {};
}

Result<std::uint64_t> Catalogue::posted_end() {
  auto rows = db_->prepare("SELECT max(last)+1 FROM posting_files");
  if (!rows) return tl::unexpected(rows.error());
  if (auto row = rows->step(); !row) return tl::unexpected(row.error());
  return std::max<std::uint64_t>(1, from_sql(rows->number(0)));
}

Result<std::optional<std::uint64_t>> Catalogue::unposted_block() {
  const Result<std::uint64_t> end = posted_end();
  if (!end) return tl::unexpected(end.error());
  if (*end == next_) return std::nullopt;
  auto rows = db_->prepare(
      "SELECT min(block) FROM (SELECT block FROM traces WHERE number>=?1 UNION ALL "
      "SELECT block FROM more_parts WHERE number>=?1)");
  if (!rows) return tl::unexpected(rows.error());
  if (auto row = rows->bind(1, to_sql(*end)).step(); !row) return tl::unexpected(row.error());
  return from_sql(rows->number(0));
}

Result<std::vector<std::uint64_t>> Catalogue::posting_files() {
  std::vector<std::uint64_t> out;
  if (auto done = each("SELECT first FROM posting_files", [&](Statement& s) { out.push_back(from_sql(s.number(0))); });
      !done) {
    return tl::unexpected(done.error());
  }
  return out;
}

Result<void> Catalogue::each_id(const std::function<void(const TraceId&)>& take) {
  return each("SELECT trace_id FROM traces", [&](Statement& s) {
    if (s.text(0).size() == sizeof(TraceId::bytes)) take(TraceId::from(s.text(0).data()));
  });
}

Result<void> Catalogue::forget_postings() { return db_->run("DELETE FROM posting_files"); }

}  // namespace tailgate
