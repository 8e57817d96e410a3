// SPDX-License-Identifier: Apache-2.0
// elasticsearch: spans to Elasticsearch or OpenSearch in the layout of Jaeger's storage, by _bulk, so that Jaeger shows
// them as if it had written them itself.
//
// Every document is created under an id made of its content, and "is there already" (409) is success, so what is sent
// twice is kept once. After a failure only the documents that the cluster did not take are sent again.
#include "export/elasticsearch/elasticsearch.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/unordered/unordered_flat_set.hpp>
#include <iterator>
#include <optional>

#include "base/hash.h"
#include "export/elasticsearch/bulk_reply.h"
#include "telemetry/log.h"
#include "wire/jaeger/json.h"

namespace tailgate {
namespace {

// Of a request, before compression. Every document repeats its resource's attributes, so a batch can become many times
// its OTLP; a cluster takes 100 MB.
constexpr std::size_t kBulkBodyMax = 8 << 20;
constexpr std::size_t kActionMax = 400;  // of the line before a document

// Failures that an operator can mend while we wait: a full disk, a limit on shards, a password that changed on one
// side.
bool passes(int status, std::string_view why) {
  if (is_transient(status) || status == 401) return true;
  for (const std::string_view text :
       {"cluster_block_exception", "index_create_block_exception", "shards open", "create-index blocked"}) {
    if (why.find(text) != std::string_view::npos) return true;
  }
  return false;
}

// Remembers which services and operations have their document already. Two generations make the oldest go without a
// list of their order.
class SeenCache {
 public:
  bool contains(std::uint64_t key) const { return young_.contains(key) || old_.contains(key); }
  void insert(std::uint64_t key) {
    young_.insert(key);
    if (young_.size() < kGeneration) return;
    old_ = std::move(young_);
    young_.clear();
  }

 private:
  static constexpr std::size_t kGeneration = 20'000;  // some 500 KB for both
  boost::unordered_flat_set<std::uint64_t> young_, old_;
};

// What is remembered of a batch until it has ended for good.
struct BulkProgress {
  BatchPtr batch;              // while a call is out
  std::uint64_t began_ns = 0;  // of the first attempt: the index of a span must not change after it
  std::vector<bool> settled;   // by span, in the order of the batch
  std::vector<RejectedTrace> rejected;
  std::size_t body_max = kBulkBodyMax;
  bool more = false;    // documents that found no room in the request that is out
  bool uneven = false;  // the bytes of some trace hold another number of spans than it says
};

// One item of a request: a span, or a service and operation.
struct Item {
  std::size_t span = 0;    // in BulkProgress::settled
  std::size_t trace = 0;   // in Batch::traces
  std::uint64_t pair = 0;  // not 0: of a service and operation
  bool misdated = false;   // in the index of now, since its own time is outside the range
};

class ElasticsearchExporter final : public HttpExporter {
 public:
  explicit ElasticsearchExporter(ElasticsearchOptions options)
      : HttpExporter(options.http),
        options_(std::move(options)),
        templates_(options_.create_templates ? Templates::kMissing : Templates::kThere) {}

  void send(BatchPtr batch) override {
    const std::uint64_t id = batch->id;
    BulkProgress& progress = progress_.of(batch);
    if (progress.began_ns == 0) progress.began_ns = wall_now_ns();
    progress.batch = std::move(batch);
    if (templates_ == Templates::kThere) return bulk(id);
    waiting_.push_back(id);
    if (templates_ == Templates::kAsked) return;
    templates_ = Templates::kAsked;
    put_template("jaeger-span", span_template(options_), [this] {
      put_template("jaeger-service", service_template(options_), [this] {
        templates_ = Templates::kThere;
        for (const std::uint64_t waiting : std::exchange(waiting_, {})) bulk(waiting);
      });
    });
  }

  std::optional<std::uint64_t> misdated() const override { return misdated_.load(std::memory_order_relaxed); }

 private:
  enum class Templates : std::uint8_t { kMissing, kAsked, kThere };

  // Documents that are written without their mappings cannot be searched, so nothing is sent before the templates
  // exist.
  void put_template(const std::string& name, std::string body, std::function<void()> then) {
    call("PUT", "/_index_template/" + options_.prefix + name, "application/json", std::move(body),
         [this, name, then = std::move(then)](const Result<HttpReply>& reply) {
           if (reply && acknowledged(*reply)) return then();
           SendResult failure = !reply                     ? failure_of(reply.error())
                                : reply->status / 100 == 2 ? not_believed(*reply, R"({"acknowledged":true})")
                                                           : HttpExporter::failure(*reply, text_of(*reply));
           failure.kind = SendResult::Kind::kRetry;
           failure.detail =
               fmt::format("index template {}{} (create_templates): {}", options_.prefix, name, failure.detail);
           templates_ = Templates::kMissing;
           for (const std::uint64_t waiting : std::exchange(waiting_, {})) finish(waiting, failure);
         });
  }

  // A proxy answers 200 too.
  static bool acknowledged(const HttpReply& reply) {
    return reply.status / 100 == 2 && !is_web_page(reply) && reply.body.find("\"acknowledged\"") != std::string::npos;
  }

  std::string index(std::string_view kind, std::string_view date) const {
    return fmt::format("{}jaeger-{}-{}", options_.prefix, kind, options_.use_aliases ? "write" : date);
  }

  void bulk(std::uint64_t id) {
    BulkProgress& progress = progress_.at(id);
    std::string body;
    std::vector<Item> items;
    boost::unordered_flat_set<std::uint64_t> pairs;  // in this request
    const auto add = [&](const std::string& index, const std::string& doc_id, std::string_view document) {
      body.reserve(body.size() + kActionMax +
                   document.size());  // one document may be large, and must not be moved to append its end
      fmt::format_to(std::back_inserter(body), R"({{"create":{{"_index":"{}","_id":"{}"}}}})", index, doc_id);
      body += '\n';
      body += document;
      body += '\n';
    };
    std::size_t span = 0;
    CutItems cut;
    progress.more = false;
    for (std::size_t t = 0; t < progress.batch->traces.size(); ++t) {
      const KeptTrace& trace = *progress.batch->traces[t];
      const std::size_t first = span;
      SpanChoice choice;
      choice.wanted = [&](std::size_t number) {
        span = first + number;
        if (span == progress.settled.size()) progress.settled.push_back(false);
        return !progress.more && !progress.settled[span];
      };
      CutItems with = cut;  // `cut` and what was left out of the current span
      const auto take = [&](const JaegerDocument& doc) {
        const auto full = [&] {
          return !items.empty() && body.size() + kActionMax + doc.body.size() > progress.body_max;
        };
        progress.more = full();
        if (progress.more) return;
        const bool misdated = !options_.use_aliases && !options_.time_range.contains(doc.start_ns, progress.began_ns);
        const std::string date = utc_date(misdated ? progress.began_ns : doc.start_ns);
        const std::uint64_t pair = fnv1a(date, fnv1a(doc.operation, fnv1a(doc.service))) | 1;
        if (!seen_.contains(pair) && pairs.insert(pair).second) {
          add(index("service", date), jaeger_service_id(doc.service, doc.operation),
              jaeger_service_document(doc.service, doc.operation));
          items.push_back({0, t, pair, false});
        }
        progress.more = full();  // behind its service
        if (progress.more) return;
        add(index("span", date), doc.id, doc.body);
        items.push_back({span, t, 0, misdated});
        cut = with;
      };
      each_jaeger_document(trace.otlp, take, &with, &choice);
      span = first + choice.spans;
      // Bytes that cannot be read as a span are rejected for good. Kept traces were checked before they came here, so
      // this is a fault of our own.
      const std::size_t lost = trace.spans - std::min<std::size_t>(choice.spans, trace.spans);
      if (choice.spans != trace.spans) progress.uneven = true;
      if (lost != 0 && !already_rejected(progress, t)) progress.rejected.push_back({t, lost, "not to be read as OTLP"});
    }
    if (items.empty()) return end_of(id);
    const std::size_t size = body.size();
    call("POST", "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason",
         "application/x-ndjson", std::move(body),
         [this, id, size, cut, items = std::move(items)](const Result<HttpReply>& reply) {
           if (reply && reply->status == 413) return too_large(id, items, size, *reply);
           if (reply && reply->status / 100 == 2) count_cut(cut);
           answered(id, items, reply);
         });
  }

  static bool already_rejected(const BulkProgress& progress, std::size_t trace) {
    return std::any_of(progress.rejected.begin(), progress.rejected.end(),
                       [&](const auto& r) { return r.index == trace; });
  }

  void answered(std::uint64_t id, const std::vector<Item>& items, const Result<HttpReply>& reply) {
    if (!reply) return finish(id, failure_of(reply.error()));
    if (reply->status / 100 != 2) {
      SendResult failure = HttpExporter::failure(*reply, text_of(*reply));
      if (reply->status == 403 || passes(reply->status, failure.detail)) failure.kind = SendResult::Kind::kRetry;
      return finish(id, std::move(failure));
    }
    const Result<std::vector<BulkItem>> results = read_bulk_reply(reply->body, items.size());
    if (!results || results->size() != items.size()) {
      // A proxy answered, or the answer is cut off. Documents that are sent twice are kept once.
      return finish(id, SendResult::retry(FailReason::kUnavailable,
                                          results ? fmt::format("the answer to _bulk has {} items, expected {}",
                                                                results->size(), items.size())
                                                  : results.error().text));
    }
    BulkProgress& progress = progress_.at(id);
    std::optional<SendResult> again;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Item& item = items[i];
      const BulkItem& result = (*results)[i];
      const bool there = result.status / 100 == 2 || result.status == 409;
      const bool later = !there && passes(result.status, result.why);
      if (later) {
        if (!again) {
          again = SendResult::retry(result.status == 429 ? FailReason::kRefused : FailReason::kUnavailable,
                                    fmt::format("status {} of an item: {}", result.status, result.why));
        }
        continue;
      }
      if (item.pair != 0) {
        seen_.insert(item.pair);
        if (!there) log_warn("a service is not in Jaeger's list", {{"status", result.status}, {"detail", result.why}});
        continue;
      }
      progress.settled[item.span] = true;
      if (there && item.misdated) misdated_.fetch_add(1, std::memory_order_relaxed);
      if (!there) reject(progress, item.trace, fmt::format("status {}: {}", result.status, result.why));
    }
    if (again) return finish(id, std::move(*again));
    if (progress.more) return bulk(id);
    end_of(id);
  }

  // The cluster finds the request too large: sends half as much, down to one document, which is then refused for good.
  void too_large(std::uint64_t id, const std::vector<Item>& items, std::size_t size, const HttpReply& reply) {
    BulkProgress& progress = progress_.at(id);
    progress.body_max = size / 2;
    if (items.size() == 1 && items[0].pair == 0) {
      progress.settled[items[0].span] = true;
      reject(progress, items[0].trace, failure(reply, text_of(reply)).detail);
    } else if (items.size() == 1) {
      seen_.insert(items[0].pair);
    }
    bulk(id);
  }

  static void reject(BulkProgress& progress, std::size_t trace, std::string why) {
    if (!progress.rejected.empty() && progress.rejected.back().index == trace) {
      ++progress.rejected.back().spans;
    } else {
      progress.rejected.push_back({trace, 1, std::move(why)});
    }
  }

  // Every document is settled.
  void end_of(std::uint64_t id) {
    BulkProgress& progress = progress_.at(id);
    std::vector<RejectedTrace> rejected = merge_rejected(std::move(progress.rejected));  // over all attempts
    std::uint64_t spans = 0;
    for (const RejectedTrace& r : rejected) spans += r.spans;
    const bool all = spans != 0 && spans >= progress.batch->spans;
    end(id, all ? SendResult::permanent(FailReason::kPermanent, std::move(rejected.front().why))
                : SendResult::done_but_for(std::move(rejected)));
    progress_.forget(id);
  }

  // The attempt failed. What is settled so far is remembered, unless the batch has failed for good.
  void finish(std::uint64_t id, SendResult result) {
    if (result.kind == SendResult::Kind::kRetry) {
      BulkProgress& progress = progress_.at(id);
      result.settled = settled_traces(progress);
      result.rejected = progress.rejected;
      progress.batch.reset();
    } else {
      progress_.forget(id);
    }
    end(id, std::move(result));
  }

  static std::vector<std::size_t> settled_traces(const BulkProgress& progress) {
    std::vector<std::size_t> out;
    if (progress.uneven) return out;
    const auto& settled = progress.settled;
    std::size_t span = 0;
    for (std::size_t t = 0; t < progress.batch->traces.size(); ++t) {
      const std::size_t end = span + progress.batch->traces[t]->spans;
      if (end > settled.size()) break;
      const auto at = [&](std::size_t i) { return settled.begin() + static_cast<std::ptrdiff_t>(i); };
      if (std::find(at(span), at(end), false) == at(end)) out.push_back(t);
      span = end;
    }
    return out;
  }

  const ElasticsearchOptions options_;
  Templates templates_;
  std::vector<std::uint64_t> waiting_;  // batches, for the templates
  BatchMemory<BulkProgress> progress_;
  std::atomic<std::uint64_t> misdated_{0};
  SeenCache seen_;
};

}  // namespace

std::unique_ptr<Exporter> make_elasticsearch_exporter(ElasticsearchOptions options) {
  return std::make_unique<ElasticsearchExporter>(std::move(options));
}

}  // namespace tailgate
