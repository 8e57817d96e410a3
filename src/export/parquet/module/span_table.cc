// SPDX-License-Identifier: Apache-2.0
// The module that writes the span table with Arrow C++: see export/parquet/span_table.h. Memory comes from the daemon's
// own allocator, not from one of Arrow's, so that it is freed and seen with all other.
#include "export/parquet/span_table.h"

#include <arrow/api.h>
#include <arrow/io/interfaces.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

#include <algorithm>
#include <exception>
#include <new>
#include <stdexcept>

#include "export/parquet/module/columns.h"
#include "export/parquet/span_columns.h"
#include "model/span_times.h"

namespace tailgate {
namespace {

using arrow::Field;
using Builder = std::shared_ptr<arrow::ArrayBuilder>;

constexpr std::int64_t kPageBytes = 128 << 10;
constexpr std::int64_t kPageRows = 2'000;

std::shared_ptr<arrow::DataType> time_type() { return arrow::timestamp(arrow::TimeUnit::NANO, "UTC"); }

// Appends to columns by what they hold, in the order in which they were made.
class Columns {
 public:
  explicit Columns(arrow::MemoryPool* pool) : pool_(pool) {}

  template <class B, class... More>
  std::shared_ptr<B> add(const std::string& name, bool nullable, More&&... more) {
    auto builder = std::make_shared<B>(std::forward<More>(more)..., pool_);
    add(name, nullable, builder);
    return builder;
  }
  void add(const std::string& name, bool nullable, const Builder& builder) {
    fields_.push_back(arrow::field(name, builder->type(), nullable));
    builders_.push_back(builder);
  }

  std::shared_ptr<arrow::Schema> schema() const { return arrow::schema(fields_); }

  std::shared_ptr<arrow::Table> take(const std::shared_ptr<arrow::Schema>& schema) {
    std::vector<std::shared_ptr<arrow::Array>> arrays(builders_.size());
    for (std::size_t i = 0; i < arrays.size(); ++i) want(builders_[i]->Finish(&arrays[i]));
    return arrow::Table::Make(schema, arrays);
  }

 private:
  arrow::MemoryPool* const pool_;
  std::vector<std::shared_ptr<Field>> fields_;
  std::vector<Builder> builders_;
};

// What is written, in pieces of one size; the last one grows.
class PieceStream final : public arrow::io::OutputStream {
 public:
  explicit PieceStream(std::size_t piece_bytes) : piece_bytes_(piece_bytes) {}

  arrow::Status Close() override {
    closed_ = true;
    return {};
  }
  bool closed() const override { return closed_; }
  arrow::Result<std::int64_t> Tell() const override { return size_; }
  arrow::Status Write(const void* data, std::int64_t size) override {
    ByteView rest(static_cast<const char*>(data), static_cast<std::size_t>(size));
    size_ += size;
    while (!rest.empty()) {
      if (pieces_.empty() || pieces_.back().size() == piece_bytes_) pieces_.emplace_back();
      const std::size_t n = std::min(rest.size(), piece_bytes_ - pieces_.back().size());
      pieces_.back().append(rest.substr(0, n));
      rest.remove_prefix(n);
    }
    return {};
  }

  FilePieces take() { return std::move(pieces_); }

 private:
  const std::size_t piece_bytes_;
  FilePieces pieces_;
  std::int64_t size_ = 0;
  bool closed_ = false;
};

// list<struct>: one row's events, or links. Each begins with columns of its own and ends with its attributes.
class ItemColumn {
 public:
  const std::shared_ptr<arrow::ListBuilder>& list() const { return list_; }

 protected:
  explicit ItemColumn(arrow::MemoryPool* pool)
      : pool_(pool), attributes_(pool), dropped_(std::make_shared<arrow::Int64Builder>(pool)) {}

  void make(std::vector<std::pair<const char*, Builder>> members) {
    members.insert(members.end(), {{"attributes", attributes_.map()},
                                   {"attribute_types", attributes_.types()},
                                   {"dropped_attributes", dropped_}});
    std::vector<std::shared_ptr<Field>> fields;
    std::vector<Builder> builders;
    for (const auto& [name, builder] : members) {
      fields.push_back(arrow::field(name, builder->type()));
      builders.push_back(builder);
    }
    each_ = std::make_shared<arrow::StructBuilder>(arrow::struct_(fields), pool_, builders);
    list_ = std::make_shared<arrow::ListBuilder>(pool_, each_);
  }

  // `own` appends to the columns that are an item's own.
  template <class Items, class Own>
  void append(const Items& items, Own own) {
    want(list_->Append());
    for (const auto& item : items) {
      want(each_->Append());
      own(item);
      attributes_.append(item.attributes);
      want(dropped_->Append(item.dropped_attributes));
    }
  }

 private:
  arrow::MemoryPool* const pool_;
  AttributeColumns attributes_;
  std::shared_ptr<arrow::Int64Builder> dropped_;
  std::shared_ptr<arrow::StructBuilder> each_;
  std::shared_ptr<arrow::ListBuilder> list_;
};

class EventColumn : public ItemColumn {
 public:
  explicit EventColumn(arrow::MemoryPool* pool)
      : ItemColumn(pool),
        time_(std::make_shared<arrow::TimestampBuilder>(time_type(), pool)),
        name_(std::make_shared<arrow::StringBuilder>(pool)) {
    make({{"time", time_}, {"name", name_}});
  }

  void append(const std::vector<EventView>& events) {
    ItemColumn::append(events, [&](const EventView& e) {
      want(time_->Append(static_cast<std::int64_t>(e.time_ns)));
      append_text(*name_, e.name);
    });
  }

 private:
  std::shared_ptr<arrow::TimestampBuilder> time_;
  std::shared_ptr<arrow::StringBuilder> name_;
};

class LinkColumn : public ItemColumn {
 public:
  explicit LinkColumn(arrow::MemoryPool* pool)
      : ItemColumn(pool),
        trace_id_(std::make_shared<arrow::StringBuilder>(pool)),
        span_id_(std::make_shared<arrow::StringBuilder>(pool)),
        trace_state_(std::make_shared<arrow::StringBuilder>(pool)),
        flags_(std::make_shared<arrow::Int64Builder>(pool)) {
    make({{"trace_id", trace_id_}, {"span_id", span_id_}, {"trace_state", trace_state_}, {"flags", flags_}});
  }

  void append(const std::vector<LinkView>& links) {
    ItemColumn::append(links, [&](const LinkView& l) {
      append_hex_id(*trace_id_, l.trace_id);
      append_hex_id(*span_id_, l.span_id);
      append_some(*trace_state_, l.trace_state);
      want(flags_->Append(l.flags));
    });
  }

 private:
  std::shared_ptr<arrow::StringBuilder> trace_id_, span_id_, trace_state_;
  std::shared_ptr<arrow::Int64Builder> flags_;
};

class ArrowSpanTable final : public SpanTableWriter {
 public:
  explicit ArrowSpanTable(const SpanTableOptions& options)
      : columns_(pool_),
        attributes_(pool_),
        events_(pool_),
        links_(pool_),
        resource_attributes_(pool_),
        scope_attributes_(pool_) {
    // What is asked for first comes first: a reader of few columns then reads one piece of the file.
    service_ = columns_.add<arrow::StringBuilder>("service", true);
    name_ = columns_.add<arrow::StringBuilder>("name", false);
    kind_ = columns_.add<arrow::StringBuilder>("kind", false);
    start_ = columns_.add<arrow::TimestampBuilder>("start_time", false, time_type());
    end_ = columns_.add<arrow::TimestampBuilder>("end_time", false, time_type());
    duration_ = columns_.add<arrow::Int64Builder>("duration_ns", false);
    status_ = columns_.add<arrow::StringBuilder>("status_code", false);
    message_ = columns_.add<arrow::StringBuilder>("status_message", true);
    http_status_ = columns_.add<arrow::Int32Builder>("http_status", true);
    for (const TextColumn& c : kTextColumns)
      known_.push_back(columns_.add<arrow::StringBuilder>(std::string(c.name), true));
    trace_id_ = columns_.add<arrow::StringBuilder>("trace_id", true);
    span_id_ = columns_.add<arrow::StringBuilder>("span_id", true);
    parent_ = columns_.add<arrow::StringBuilder>("parent_span_id", true);
    trace_state_ = columns_.add<arrow::StringBuilder>("trace_state", true);
    flags_ = columns_.add<arrow::Int64Builder>("flags", false);
    policy_ = columns_.add<arrow::StringBuilder>("policy", true);
    by_chance_ = columns_.add<arrow::BooleanBuilder>("by_chance", false);
    late_ = columns_.add<arrow::BooleanBuilder>("late", false);
    add_attributes("attributes", "attribute_types", attributes_, false);
    dropped_attributes_ = columns_.add<arrow::Int64Builder>("dropped_attributes", false);
    columns_.add("events", false, events_.list());
    dropped_events_ = columns_.add<arrow::Int64Builder>("dropped_events", false);
    columns_.add("links", false, links_.list());
    dropped_links_ = columns_.add<arrow::Int64Builder>("dropped_links", false);
    add_attributes("resource_attributes", "resource_attribute_types", resource_attributes_, true);
    resource_dropped_ = columns_.add<arrow::Int64Builder>("resource_dropped_attributes", false);
    resource_schema_ = columns_.add<arrow::StringBuilder>("resource_schema_url", true);
    scope_name_ = columns_.add<arrow::StringBuilder>("scope_name", true);
    scope_version_ = columns_.add<arrow::StringBuilder>("scope_version", true);
    add_attributes("scope_attributes", "scope_attribute_types", scope_attributes_, true);
    scope_dropped_ = columns_.add<arrow::Int64Builder>("scope_dropped_attributes", false);
    scope_schema_ = columns_.add<arrow::StringBuilder>("scope_schema_url", true);
    open(options);
  }

  void add(const SpanRow& row) override {
    try {
      append(row);
      ++rows_;
    } catch (const std::exception& e) {
      if (failed_.empty()) failed_ = e.what();
    }
  }

  Result<void> end_row_group() override {
    return guarded([&] {
      if (rows_ == 0) return;
      const std::shared_ptr<arrow::Table> table = columns_.take(schema_);
      want(writer_->WriteTable(*table, rows_));
      rows_ = 0;
    });
  }

  Result<FilePieces> finish() override {
    if (Result<void> ended = end_row_group(); !ended) return tl::unexpected(std::move(ended.error()));
    const Result<void> closed = guarded([&] { want(writer_->Close()); });
    if (!closed) return tl::unexpected(closed.error());
    return sink_->take();
  }

 private:
  template <class F>
  Result<void> guarded(F work) {
    try {
      if (failed_.empty()) work();
    } catch (const std::exception& e) {
      failed_ = e.what();
    }
    if (failed_.empty()) return {};
    return fail(ErrorKind::kIo, "Parquet: " + failed_);
  }

  void add_attributes(const std::string& map, const std::string& types, const AttributeColumns& columns,
                      bool nullable) {
    columns_.add(map, nullable, columns.map());
    columns_.add(types, nullable, columns.types());
  }

  void open(const SpanTableOptions& options) {
    schema_ = columns_.schema();
    parquet::WriterProperties::Builder p;
    p.memory_pool(pool_);
    p.created_by("Tailgate");
    p.compression(parquet::Compression::ZSTD);
    p.compression_level(options.compression_level);
    p.max_row_group_length(options.row_group_rows);
    p.data_pagesize(kPageBytes);
    p.max_rows_per_page(kPageRows);
    p.enable_write_page_index();
    p.enable_page_checksum();
    for (const char* unique : {"trace_id", "span_id", "parent_span_id"}) p.disable_dictionary(unique);
    for (const char* number : {"start_time", "end_time", "duration_ns"}) {
      p.disable_dictionary(number);
      p.encoding(number, parquet::Encoding::DELTA_BINARY_PACKED);
    }
    for (const char* asked : {"service", "name", "http_status", "trace_id"}) p.enable_bloom_filter(asked, {});
    for (const TextColumn& c : kTextColumns) {
      if (c.bloom) p.enable_bloom_filter(std::string(c.name), {});
    }
    // No sorting_columns: rows are sorted by the values that were sent, and the columns show some of these differently,
    // such as a name that is not text or a start of 0.
    sink_ = std::make_shared<PieceStream>(options.piece_bytes);
    auto writer = parquet::arrow::FileWriter::Open(*schema_, pool_, sink_, p.build());
    want(writer.status());
    writer_ = std::move(*writer);
    want(writer_->AddKeyValueMetadata(arrow::key_value_metadata({"tailgate.span_table"}, {"1"})));
  }

  void append(const SpanRow& row) {
    const SpanView& s = *row.span;
    const ResourceView& resource = row.resource->view;
    append_value(*service_, row.resource->service);
    append_text(*name_, s.name);
    append_word(*kind_, span_kind_word(s.kind), s.kind);
    want(start_->Append(static_cast<std::int64_t>(s.start_ns)));
    want(end_->Append(static_cast<std::int64_t>(s.end_ns)));
    want(duration_->Append(duration_ns(s.start_ns, s.end_ns)));
    append_word(*status_, status_code_word(s.status_code), s.status_code);
    append_some(*message_, s.status_message);
    const std::optional<std::int32_t> http = http_status(s.attributes);
    want(http ? http_status_->Append(*http) : http_status_->AppendNull());
    for (std::size_t i = 0; i < kTextColumns.size(); ++i) {
      const TextColumn& c = kTextColumns[i];
      append_value(*known_[i], c.of_resource ? row.resource->known[i] : find_column(c, s.attributes));
    }
    append_hex_id(*trace_id_, s.trace_id);
    append_hex_id(*span_id_, s.span_id);
    append_hex_id(*parent_, s.parent_span_id);
    append_some(*trace_state_, s.trace_state);
    want(flags_->Append(s.flags));
    append_some(*policy_, row.policy);
    want(by_chance_->Append(row.by_chance));
    want(late_->Append(row.late));
    attributes_.append(s.attributes);
    want(dropped_attributes_->Append(s.dropped_attributes));
    events_.append(s.events);
    want(dropped_events_->Append(s.dropped_events));
    links_.append(s.links);
    want(dropped_links_->Append(s.dropped_links));
    row.resource_elsewhere ? resource_attributes_.append_null() : resource_attributes_.append(resource.attributes);
    want(resource_dropped_->Append(resource.dropped_attributes));
    append_some(*resource_schema_, row.resource_elsewhere ? ByteView() : resource.schema_url);
    const auto of_scope = [&](ByteView text) { return row.scope_elsewhere ? ByteView() : text; };
    append_some(*scope_name_, of_scope(row.scope->name));
    append_some(*scope_version_, of_scope(row.scope->version));
    row.scope_elsewhere ? scope_attributes_.append_null() : scope_attributes_.append(row.scope->attributes);
    want(scope_dropped_->Append(row.scope->dropped_attributes));
    append_some(*scope_schema_, of_scope(row.scope->schema_url));
  }

  void append_value(arrow::StringBuilder& out, const AttributeValue* value) {
    if (value == nullptr || value->kind == AttributeValue::Kind::kUnset || value->bytes.size() > kColumnTextMax)
      return want(out.AppendNull());
    if (value->kind == AttributeValue::Kind::kString) return append_text(out, value->bytes);
    text_.clear();
    append_attribute_text(text_, *value);
    append_text(out, text_);
  }

  // The number where OTLP has no word for it.
  static void append_word(arrow::StringBuilder& out, std::string_view word, std::uint32_t number) {
    want(word.empty() ? out.Append(std::to_string(number)) : out.Append(word));
  }

  arrow::MemoryPool* const pool_ = arrow::system_memory_pool();
  Columns columns_;
  std::shared_ptr<arrow::StringBuilder> service_, name_, kind_, status_, message_, trace_id_, span_id_, parent_,
      trace_state_, policy_, resource_schema_, scope_name_, scope_version_, scope_schema_;
  std::shared_ptr<arrow::TimestampBuilder> start_, end_;
  std::shared_ptr<arrow::Int64Builder> duration_, flags_, dropped_attributes_, dropped_events_, dropped_links_,
      resource_dropped_, scope_dropped_;
  std::shared_ptr<arrow::Int32Builder> http_status_;
  std::shared_ptr<arrow::BooleanBuilder> by_chance_, late_;
  std::vector<std::shared_ptr<arrow::StringBuilder>> known_;
  AttributeColumns attributes_;
  EventColumn events_;
  LinkColumn links_;
  AttributeColumns resource_attributes_, scope_attributes_;
  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<PieceStream> sink_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  std::int64_t rows_ = 0;  // since the last row group
  std::string text_;
  std::string failed_;  // of the first call that did; the file is of no use then
};

SpanTableWriter* make(const SpanTableOptions& options) {
  try {
    return new ArrowSpanTable(options);
  } catch (const std::exception&) {
    return nullptr;
  }
}

}  // namespace
}  // namespace tailgate

extern "C" __attribute__((visibility("default"))) const tailgate::SpanTableModule tailgate_span_table = {
    tailgate::span_table_version(TAILGATE_SPAN_TABLE_BUILD), tailgate::make};
