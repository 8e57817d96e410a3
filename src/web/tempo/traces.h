// SPDX-License-Identifier: Apache-2.0
// /tempo/api/traces/{id} and /tempo/api/v2/traces/{id}: one trace as OTLP in protobuf, or in the JSON that Tempo makes
// of it. Any thread.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "model/ids.h"
#include "net/http/later_answer.h"
#include "store/reader.h"

namespace tailgate {

struct TempoTraceQuestion {
  TraceId id;
  bool v2 = false;     // the trace inside an object; one that is not stored is an empty trace, not 404
  bool proto = false;  // by Accept
};

bool wants_protobuf(std::string_view accept);
void answer_tempo_trace(StoreReader& store, const TempoTraceQuestion& question, TimePoint until, LaterAnswer& answer);

}  // namespace tailgate
