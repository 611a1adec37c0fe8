package kube

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
)

// newEvents returns what writes events, with client-go's spam filter: 25 for an
// object, then one in 5 minutes (MC 5). Stop drops what is not written yet.
func newEvents(cfg *rest.Config) (events record.EventRecorder, stop func(), err error) {
	client, err := typedcorev1.NewForConfig(cfg)
	if err != nil {
		return nil, nil, err
	}
	broadcaster := record.NewBroadcaster()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.Events("")})
	events = broadcaster.NewRecorder(runtime.NewScheme(), corev1.EventSource{Component: "metacontroller"})
	return events, broadcaster.Shutdown, nil
}
