// SPDX-License-Identifier: Apache-2.0
// As remote_sampling_go, over gRPC: Client ENDPOINT SERVICE OPERATION...
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.context.Context;
import io.opentelemetry.sdk.extension.trace.jaeger.sampler.JaegerRemoteSampler;
import io.opentelemetry.sdk.trace.samplers.SamplingDecision;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

public class Client {
  static final int ROUNDS = 10_000;

  public static void main(String[] args) throws Exception {
    JaegerRemoteSampler sampler =
        JaegerRemoteSampler.builder()
            .setEndpoint(args[0])
            .setServiceName(args[1])
            .setPollingInterval(1, TimeUnit.SECONDS)
            .build();
    Thread decides =
        new Thread(
            () -> {
              while (true) {
                StringBuilder line = new StringBuilder("{");
                for (int a = 2; a < args.length; ++a) {
                  int sampled = 0;
                  for (int i = 0; i < ROUNDS; ++i) {
                    ThreadLocalRandom random = ThreadLocalRandom.current();
                    String id = String.format("%016x%016x", random.nextLong(), random.nextLong());
                    SamplingDecision decision =
                        sampler
                            .shouldSample(Context.root(), id, args[a], SpanKind.SERVER, Attributes.empty(), List.of())
                            .getDecision();
                    if (decision == SamplingDecision.RECORD_AND_SAMPLE) ++sampled;
                  }
                  line.append(a > 2 ? ", " : "");
                  line.append("\"").append(args[a]).append("\": ").append(sampled / (double) ROUNDS);
                }
                System.out.println(line.append("}"));
                System.out.flush();
                try {
                  Thread.sleep(1000);
                } catch (InterruptedException over) {
                  return;
                }
              }
            });
    decides.setDaemon(true);
    decides.start();
    while (System.in.read() >= 0) {}
    System.exit(0);
  }
}
