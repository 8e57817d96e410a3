// SPDX-License-Identifier: Apache-2.0
// /tempo/api/search: a search in the words and the answer of Tempo's HTTP API. Grafana reads the answer strictly: a key
// that Tempo does not have is an error there. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http/later_answer.h"
#include "store/reader.h"
#include "web/params.h"
#include "web/trace_search.h"

namespace tailgate {

struct TempoSearch {
  TraceQuestion question;
  bool has_sets = false;      // by TraceQL: the answer has the spans that were found
  std::size_t spans_max = 3;  // of a set in the answer; 0: all
};

// start and end, Unix seconds: both or neither.
void read_tempo_window(Params& params, TraceQuestion& out);

// `query` of the request: q, or tags with minDuration and maxDuration; start, end, limit, spss.
Result<TempoSearch> read_tempo_search(std::string_view query);

// One element of "traces".
void append_tempo_trace(std::string& out, const FoundTrace& found, const TempoSearch& search);

void answer_tempo_search(StoreReader& store, const SearchLimits& limits, const TempoSearch& search,
                         LaterAnswer& answer);

}  // namespace tailgate
