// Reads configuration by the types of those that define it, strictly: a field that they don't know is an error.
//
//	stack-check compose docker-compose.yml    by compose's own loader; prints the project. Profiles: COMPOSE_PROFILES
//	stack-check kubernetes FILE ...           by the types of Kubernetes and of the OpenTelemetry Operator; prints kinds and names
//	stack-check kustomize DIRECTORY           as `kubectl kustomize` would; prints the manifests
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/open-telemetry/opentelemetry-operator/apis/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func compose(path string) error {
	options, err := cli.NewProjectOptions([]string{path}, cli.WithWorkingDirectory(filepath.Dir(path)), cli.WithOsEnv,
		cli.WithProfiles(strings.Split(os.Getenv("COMPOSE_PROFILES"), ",")))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return err
	}
	text, err := project.MarshalYAML()
	fmt.Print(string(text))
	return err
}

func kubernetes(paths []string) error {
	if err := v1alpha1.AddToScheme(scheme.Scheme); err != nil {
		return err
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Yaml: true, Strict: true})
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			object, kind, err := strict.Decode(document, nil, nil)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			named, err := meta.Accessor(object)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			fmt.Println(kind.Kind, named.GetName())
		}
	}
	return nil
}

func kustomize(directory string) error {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		return err
	}
	text, err := built.AsYaml()
	fmt.Print(string(text))
	return err
}

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "compose":
		err = compose(os.Args[2])
	case len(os.Args) > 2 && os.Args[1] == "kubernetes":
		err = kubernetes(os.Args[2:])
	case len(os.Args) == 3 && os.Args[1] == "kustomize":
		err = kustomize(os.Args[2])
	default:
		err = errors.New("usage: stack-check compose FILE | kubernetes FILE ... | kustomize DIRECTORY")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
