module costspan.stack/check

go 1.25.0

require (
	github.com/compose-spec/compose-go/v2 v2.16.2
	github.com/open-telemetry/opentelemetry-operator v0.140.0
	sigs.k8s.io/kustomize/api v0.21.1
	sigs.k8s.io/kustomize/kyaml v0.21.1
)
