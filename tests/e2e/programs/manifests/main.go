// SPDX-License-Identifier: Apache-2.0
// Reads Kubernetes manifests, compose files and Helm charts as those who apply them do: every field must be one they
// know, of the type they want. Prints a line per object; exits with 1 and the fault otherwise.
//
//	manifests FILE... | manifests chart FOLDER VALUES.yaml [OUT]
//
// A chart is linted, its values are checked by its schema, and what it renders is read, and written to OUT, a document
// for each template.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

func kubernetes(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return objects(path, text)
}

func objects(path string, text []byte) error {
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		var named meta.TypeMeta
		if err := yaml.Unmarshal(document, &named); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if strings.HasPrefix(named.APIVersion, "monitoring.coreos.com/") { // the Prometheus operator's, no type of Kubernetes'
			fmt.Println(named.APIVersion, named.Kind)
			continue
		}
		_, kind, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		fmt.Println(kind.GroupVersion().String(), kind.Kind)
	}
}

func compose(path string) error {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithName("tailgate"))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	fmt.Println("compose", strings.Join(project.ServiceNames(), " "))
	return nil
}

func chart(folder, valuesPath, out string) error {
	values, err := chartutil.ReadValuesFile(valuesPath)
	if err != nil {
		return err
	}
	for _, message := range lint.All(folder, values, "tracing", true).Messages {
		if message.Severity > support.InfoSev {
			return fmt.Errorf("lint: %s: %w", message.Path, message.Err)
		}
	}
	loaded, err := loader.Load(folder)
	if err != nil {
		return err
	}
	if values, err = chartutil.ReadValuesFile(valuesPath); err != nil { // the linter has taken the nulls out
		return err
	}
	release := chartutil.ReleaseOptions{Name: "gate", Namespace: "tracing", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(loaded, values, release, chartutil.DefaultCapabilities)
	if err != nil {
		return err
	}
	rendered, err := engine.Render(loaded, all)
	if err != nil {
		return err
	}
	var whole strings.Builder
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if strings.HasSuffix(name, "NOTES.txt") {
			continue
		}
		fmt.Fprintf(&whole, "# %s\n%s\n---\n", name, rendered[name])
		if err := objects(name, []byte(rendered[name])); err != nil {
			return err
		}
	}
	if out == "" {
		return nil
	}
	return os.WriteFile(out, []byte(whole.String()), 0o600)
}

func main() {
	if len(os.Args) >= 4 && os.Args[1] == "chart" {
		out := ""
		if len(os.Args) > 4 {
			out = os.Args[4]
		}
		if err := chart(os.Args[2], os.Args[3], out); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	for _, path := range os.Args[1:] {
		read := kubernetes
		if strings.HasSuffix(path, "compose.yaml") {
			read = compose
		}
		if err := read(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
