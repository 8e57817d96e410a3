// SPDX-License-Identifier: Apache-2.0
// What the doors for Jaeger share: an answer that begins with its first piece, so that what goes wrong before can still
// be an error, and what they know. Each belongs to the thread that makes the answer.
#pragma once

#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "web/jaeger/doors.h"
#include "web/jaeger/proto.h"

namespace tailgate {

inline constexpr std::string_view kJaegerNoStore =
    "no store exporter is configured, so Tailgate keeps no traces that could be shown";

struct JaegerShared {
  QueryPool& pool;
  StoreDoorOptions options;
  AllCalls calls;  // or none
};
using JaegerSharedPtr = std::shared_ptr<const JaegerShared>;

class PieceAnswer {
 public:
  // `patience`: how long the peer may take to make room.
  PieceAnswer(LaterAnswer& answer, Response head, Duration patience)
      : answer_(answer), head_(std::move(head)), patience_(patience) {}

  bool begun() const { return begun_; }
  bool cancelled() const { return answer_.cancelled(); }
  bool late() const { return monotonic_now() > made_ + patience_; }  // the work should be done by now
  LaterAnswer& whole() { return answer_; }

  // From now on the peer has its time again.
  void be_patient() { until_ = monotonic_now() + patience_; }
  // False when nobody wants more.
  bool write(std::string_view piece) {
    begin();
    return answer_.write(piece, until_);
  }
  void end(LaterAnswer::Fields trailers = {}) {
    begin();
    answer_.end(std::move(trailers));
  }

 private:
  void begin() {
    if (begun_) return;
    begun_ = true;
    if (until_ == TimePoint{}) be_patient();
    answer_.begin(std::move(head_));
  }

  LaterAnswer& answer_;
  Response head_;
  const Duration patience_;
  const TimePoint made_ = monotonic_now();
  TimePoint until_ = {};
  bool begun_ = false;
};

// find_traces for an answer in pieces: `take` returns false when nobody wants more.
Result<SearchOutcome> find_for_jaeger(const JaegerShared& shared, const TraceQuestion& question, PieceAnswer& answer,
                                      const std::function<bool(const FoundTrace&)>& take);

// Makes an answer in pieces in the pool. What stands in the way is told by `error`, in the words of each API: so is a
// missing store, if the work needs one.
Response answer_later(const JaegerSharedPtr& shared, ErrorPage error, Response head,
                      std::function<void(PieceAnswer&)> work, bool needs_store = true);

// One of several for an answer. kUnavailable: the time for all of them is over.
Result<StoredTrace> one_of_traces(const JaegerShared& shared, const TraceId& id, const PieceAnswer& answer);

Result<std::vector<std::string>> services_for_jaeger(StoreReader& store);  // none without a name
// Of a kind that does not exist there are none.
Result<std::vector<StoredOperation>> operations_for_jaeger(StoreReader& store, const JaegerOperationsRequest& request);

// Who calls whom. From the service graph, over all spans, where there is one. Else in the stored traces that lie in
// these times: exact, from the traces, when there are few enough to look at all; else from the counts of the store,
// which do not have the calls between spans that were stored apart (late ones).
Result<Dependencies> dependencies_for_jaeger(const JaegerShared& shared, const JaegerTimes& times,
                                             const std::function<bool()>& cancelled);
std::string cut_text(const Dependencies& dependencies);  // what was left out, for people; empty: nothing

void add_jaeger_grpc(Pages& pages, const JaegerSharedPtr& shared);
void add_jaeger_v1(Pages& pages, const JaegerSharedPtr& shared);
void add_jaeger_v3(Pages& pages, const JaegerSharedPtr& shared);

}  // namespace tailgate
