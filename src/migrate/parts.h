// SPDX-License-Identifier: Apache-2.0
// Part of migrate.cc: the sections of Tailgate's configuration that are not copies of the Collector's.
#pragma once

#include <vector>

#include "migrate/pipelines.h"

namespace tailgate {

// `sampling`, from the processors of the pipelines: tail_sampling as it is, memory_limiter, and probabilistic_sampler
// where it samples alone. Reports every other processor.
YamlValuePtr migrate_sampling(const std::vector<Pipeline>& pipelines, Trees& trees, Report& report);

// `telemetry`, from service.telemetry and the health check extensions. Reports what else stands there.
YamlValuePtr migrate_telemetry(Trees& trees, Report& report);

}  // namespace tailgate
