// SPDX-License-Identifier: Apache-2.0
// OTLP as Tempo hands it out in protobuf: with a resource, a scope and a status everywhere. SDKs leave empty ones out,
// and Grafana's data source looks into them without asking whether they are there. Pure; any thread.
#pragma once

#include <string>

#include "base/bytes.h"

namespace tailgate {

// Appends `otlp` (TracesData) with an empty message where one of these is missing. All else keeps its bytes and its
// order, unknown fields too; a message that is malformed stays as it is, with all in it. Costs one pass, and memory for
// three copies.
void append_tempo_proto(std::string& out, ByteView otlp);

}  // namespace tailgate
