package watchloop

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Local returns the CompositeController with the service of each webhook replaced
// by the URL of what answers in its place: services has its address, host:port,
// by name.namespace:port. Path and protocol stay.
func Local(controller []byte, services map[string]string) ([]byte, error) {
	var object map[string]any
	if err := yaml.Unmarshal(controller, &object); err != nil {
		return nil, err
	}
	hooks, _, err := unstructured.NestedMap(object, "spec", "hooks")
	if err != nil {
		return nil, err
	}
	if len(hooks) == 0 {
		return nil, errors.New("this is no CompositeController with hooks")
	}
	for name := range hooks {
		webhook, found, err := unstructured.NestedMap(hooks, name, "webhook")
		if err != nil || !found {
			return nil, fmt.Errorf("hook %s: no webhook: %w", name, err)
		}
		service, found, err := unstructured.NestedMap(webhook, "service")
		if err != nil {
			return nil, fmt.Errorf("hook %s: %w", name, err)
		}
		if !found {
			continue
		}
		of := func(field string, otherwise any) any {
			if v, found := service[field]; found {
				return v
			}
			return otherwise
		}
		asked := fmt.Sprintf("%v.%v:%v", service["name"], service["namespace"], of("port", 80))
		address, found := services[asked]
		if !found {
			return nil, fmt.Errorf("hook %s: nothing answers for service %s", name, asked)
		}
		path, _ := webhook["path"].(string)
		webhook["url"] = fmt.Sprintf("%v://%s/%s", of("protocol", "http"), address, strings.TrimPrefix(path, "/"))
		delete(webhook, "service")
		delete(webhook, "path")
		if err := unstructured.SetNestedMap(object, webhook, "spec", "hooks", name, "webhook"); err != nil {
			return nil, err
		}
	}
	return yaml.Marshal(object)
}
