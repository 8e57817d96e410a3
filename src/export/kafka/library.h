// SPDX-License-Identifier: Apache-2.0
// KafkaLibrary: the functions of librdkafka that the kafka exporter calls, found at run time. The library is loaded
// when the first kafka exporter starts, so that a daemon without one neither maps it nor pays for what it initialises
// (docs/design/0013-backends.md). It is never unloaded: it has threads of its own.
#pragma once

#include <librdkafka/rdkafka.h>

#include "base/result.h"

namespace tailgate {

struct KafkaLibrary {
  decltype(&rd_kafka_conf_new) conf_new = nullptr;
  decltype(&rd_kafka_conf_destroy) conf_destroy = nullptr;
  decltype(&rd_kafka_conf_set) conf_set = nullptr;
  decltype(&rd_kafka_conf_set_opaque) conf_set_opaque = nullptr;
  decltype(&rd_kafka_conf_set_dr_msg_cb) conf_set_dr_msg_cb = nullptr;
  decltype(&rd_kafka_conf_set_error_cb) conf_set_error_cb = nullptr;
  decltype(&rd_kafka_conf_set_log_cb) conf_set_log_cb = nullptr;
  decltype(&rd_kafka_conf_set_resolve_cb) conf_set_resolve_cb = nullptr;  // null: before 1.9
  decltype(&rd_kafka_new) create = nullptr;
  decltype(&rd_kafka_destroy) destroy = nullptr;
  decltype(&rd_kafka_topic_new) topic_new = nullptr;
  decltype(&rd_kafka_topic_destroy) topic_destroy = nullptr;
  decltype(&rd_kafka_queue_get_main) queue_get_main = nullptr;
  decltype(&rd_kafka_queue_destroy) queue_destroy = nullptr;
  decltype(&rd_kafka_queue_io_event_enable) queue_io_event_enable = nullptr;
  decltype(&rd_kafka_produce) produce = nullptr;
  decltype(&rd_kafka_last_error) last_error = nullptr;
  decltype(&rd_kafka_err2str) err2str = nullptr;
  decltype(&rd_kafka_poll) poll = nullptr;
  decltype(&rd_kafka_purge) purge = nullptr;
};

// kIo: it is not installed, or too old.
Result<KafkaLibrary> load_kafka_library();

}  // namespace tailgate
