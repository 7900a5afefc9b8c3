// A Vulkan layer that makes a GPU fail on purpose. Test support: tests/campaigns/gpu-faults.sh builds and uses it.
//
//     cc -shared -fPIC -O2 -pthread -o FOLDER/libgpu_fault.so tests/sabotage/vulkan_layer.c
//     sed "s|@LIBRARY@|FOLDER/libgpu_fault.so|" tests/sabotage/vulkan_layer.json.in > FOLDER/gpu_fault.json
//     VK_LAYER_PATH=FOLDER VK_INSTANCE_LAYERS=VK_LAYER_gpu_fault NODEVICE_SELECT=1 GPU_FAULT=lost GPU_FAULT_AT=40 PROGRAM
//
// The layer passes every call on. It counts those calls that can fail, in all threads together, and the call with the
// number GPU_FAULT_AT, from 1 on, begins the fault. GPU_FAULT says which fault that is:
//
//     lost    This call and every later one on the same device fail, with VK_ERROR_DEVICE_LOST where the function may
//             return it and with VK_ERROR_OUT_OF_HOST_MEMORY elsewhere.
//     gone    As lost, but functions that may not say so still succeed, as drivers have it.
//     memory  This call fails with VK_ERROR_OUT_OF_DEVICE_MEMORY.
//     hang    The device executes nothing from here on. It accepts submissions and never signals their ends, so waits run
//             into their timeouts, and waits for an idle queue or device, which have none, never return.
//     stuck   This call never returns.
//     drop    This submission, or the next one after this call, is not executed, but its end is signalled.
//
// A device that the program makes afterwards works. With GPU_FAULT_FOREVER=1 it does not: it cannot be made (lost, gone), fails
// again at every call (memory) or executes nothing either (hang).
//
// GPU_FAULT_CALL=vkQueueSubmit counts that function alone. GPU_FAULT_COUNT=FILE appends a line for each counted call, with
// its number, its name and what became of it: `passed`, or the fault. The line is written before the call is made.
//
// GPU_FAULT_DISCRETE=1 has every adapter say that it is a discrete GPU, so that programs that prefer hardware take it.
//
// There is no need of Vulkan's headers: what the layer knows of Vulkan is declared here.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Vulkan. Objects that calls go to are pointers to a pointer of the loader's, which is the same for a device, its queues
// and its command buffers. Other objects are numbers.

typedef int32_t Result;
enum { SUCCESS = 0, OUT_OF_HOST_MEMORY = -1, OUT_OF_DEVICE_MEMORY = -2, INITIALIZATION_FAILED = -3, DEVICE_LOST = -4 };

typedef void **Object;
typedef uint64_t Number;
typedef void (*Function)(void);
typedef Function (*GetFunction)(Object of, const char *name);

typedef struct {
    int32_t type;
    const void *next;
    uint32_t waits;
    const Number *wait_semaphores;
    const uint32_t *wait_stages;
    uint32_t command_buffers;
    const Object *commands;
    uint32_t signals;
    const Number *signal_semaphores;
} Submission;

// The interface of loader and layers. The loader hands a chain of layers over among the structures that extend the
// description of an instance or a device.

enum { INSTANCE_CHAIN = 47, DEVICE_CHAIN = 48, LINKS = 0, NEGOTIATION = 1 };

typedef struct Link {
    struct Link *next;
    GetFunction instance_function;
    GetFunction device_function; // in the chain of an instance: for physical devices
} Link;

typedef struct Chain {
    int32_t type;
    struct Chain *next;
    int32_t kind;
    Link *link;
} Chain;

typedef struct {
    int32_t type;
    void *next;
    uint32_t version;
    GetFunction instance_function;
    GetFunction device_function;
    GetFunction physical_device_function;
} Negotiation;

// Takes this layer's link off the chain.
static Link *take_link(const void *description, int32_t type) {
    Chain *chain = ((const Chain *)description)->next;
    while (chain && !(chain->type == type && chain->kind == LINKS))
        chain = chain->next;
    if (!chain)
        return NULL;
    Link *link = chain->link;
    chain->link = link->next;
    return link;
}

// The functions of a device that are counted: name, whether they may say that the device is lost, object, and further
// parameters and arguments. KHR twins of functions share their entry.

#define CREATE (Object self, const void *info, const void *allocator, void *made), (self, info, allocator, made)

#define PLAIN(F) \
    F(vkCreateDescriptorSetLayout, false, CREATE) \
    F(vkCreateDescriptorPool, false, CREATE) \
    F(vkCreatePipelineLayout, false, CREATE) \
    F(vkCreateShaderModule, false, CREATE) \
    F(vkCreateBuffer, false, CREATE) \
    F(vkCreateCommandPool, false, CREATE) \
    F(vkCreateQueryPool, false, CREATE) \
    F(vkCreateSemaphore, false, CREATE) \
    F(vkCreateFence, false, CREATE) \
    F(vkAllocateMemory, false, CREATE) \
    F(vkCreateComputePipelines, false, \
        (Object self, Number cache, uint32_t count, const void *infos, const void *allocator, Number *made), \
        (self, cache, count, infos, allocator, made)) \
    F(vkAllocateDescriptorSets, false, (Object self, const void *info, Number *sets), (self, info, sets)) \
    F(vkAllocateCommandBuffers, false, (Object self, const void *info, Object *buffers), (self, info, buffers)) \
    F(vkBeginCommandBuffer, false, (Object self, const void *info), (self, info)) \
    F(vkEndCommandBuffer, false, (Object self), (self)) \
    F(vkBindBufferMemory, false, (Object self, Number buffer, Number memory, Number offset), \
        (self, buffer, memory, offset)) \
    F(vkMapMemory, false, (Object self, Number memory, Number offset, Number size, uint32_t flags, void **place), \
        (self, memory, offset, size, flags, place)) \
    F(vkFlushMappedMemoryRanges, false, (Object self, uint32_t count, const void *ranges), (self, count, ranges)) \
    F(vkInvalidateMappedMemoryRanges, false, (Object self, uint32_t count, const void *ranges), (self, count, ranges)) \
    F(vkWaitSemaphores, true, (Object self, const void *info, uint64_t timeout), (self, info, timeout)) \
    F(vkGetSemaphoreCounterValue, true, (Object self, Number semaphore, uint64_t *value), (self, semaphore, value)) \
    F(vkWaitForFences, true, (Object self, uint32_t count, const Number *fences, uint32_t all, uint64_t timeout), \
        (self, count, fences, all, timeout)) \
    F(vkGetFenceStatus, true, (Object self, Number fence), (self, fence)) \
    F(vkQueueWaitIdle, true, (Object self), (self)) \
    F(vkDeviceWaitIdle, true, (Object self), (self))

#define SUBMIT (Object self, uint32_t count, const Submission *submissions, Number fence), (self, count, submissions, fence)

// Macros in this form let CREATE be two arguments.
#define NUMBER(...) NUMBER_OF(__VA_ARGS__)
#define NUMBER_OF(name, may_be_lost, parameters, arguments) NUMBER_##name,
enum { PLAIN(NUMBER) NUMBER(vkQueueSubmit, true, SUBMIT) DEVICE_FUNCTIONS, NUMBER_vkCreateDevice = DEVICE_FUNCTIONS, FUNCTIONS };

#define NAME(...) NAME_OF(__VA_ARGS__)
#define NAME_OF(name, may_be_lost, parameters, arguments) {#name, may_be_lost},
static const struct {
    const char *name;
    bool may_be_lost;
} functions[FUNCTIONS] = {PLAIN(NAME) NAME(vkQueueSubmit, true, SUBMIT) {"vkCreateDevice", true}};

// Devices. They are few, and stay in the list when they are destroyed.

typedef struct Device {
    struct Device *older;
    void *key;
    GetFunction next_function;
    Function next[DEVICE_FUNCTIONS];
    atomic_bool is_lost, hangs, has_swallowed;
} Device;

static _Atomic(Device *) newest;

static Device *device_of(Object object) {
    Device *device = newest;
    while (device->key != *object) // the newest, as the loader may use a key again
        device = device->older;
    return device;
}

// Faults.

enum { NONE, LOST, GONE, MEMORY, HANG, STUCK, DROP };
static const char *const faults[] = {"none", "lost", "gone", "memory", "hang", "stuck", "drop"};

static int fault = NONE;
static unsigned long fault_at;
static bool is_forever, is_discrete;
static const char *only; // the one function that counts, or NULL
static int count_file = -1;

static atomic_ulong counted;
static atomic_bool began, drops_next;

static void read_environment(void) {
    const char *value = getenv("GPU_FAULT");
    if (value && *value) {
        for (fault = DROP; fault > NONE && strcmp(value, faults[fault]) != 0;)
            fault--;
        if (fault == NONE) {
            fprintf(stderr, "gpu_fault: there is no fault %s\n", value);
            exit(2);
        }
    }
    value = getenv("GPU_FAULT_AT");
    fault_at = value ? strtoul(value, NULL, 10) : 0;
    value = getenv("GPU_FAULT_FOREVER");
    is_forever = value && strcmp(value, "1") == 0;
    value = getenv("GPU_FAULT_DISCRETE");
    is_discrete = value && strcmp(value, "1") == 0;
    value = getenv("GPU_FAULT_CALL");
    only = value && *value ? value : NULL;
    value = getenv("GPU_FAULT_COUNT");
    if (value && count_file < 0)
        count_file = open(value, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

// What becomes of a call.
typedef struct {
    enum { PASS, FAIL, BLOCK, SWALLOW, SIGNAL } what;
    Result result; // if it fails
} Fate;

static _Noreturn void block(void) {
    for (;;)
        pause();
}

static Fate fate_of(Device *device, int function, bool is_hit) {
    Result lost = functions[function].may_be_lost ? DEVICE_LOST : OUT_OF_HOST_MEMORY;
    bool submits = function == NUMBER_vkQueueSubmit;
    bool waits_for_all = function == NUMBER_vkQueueWaitIdle || function == NUMBER_vkDeviceWaitIdle;
    bool is_new = function == NUMBER_vkCreateDevice;
    switch (fault) {
    case LOST:
    case GONE:
        if (is_hit && device)
            device->is_lost = true;
        if (fault == GONE && lost != DEVICE_LOST)
            break;
        if (is_hit || (device && device->is_lost) || (is_new && is_forever && began))
            return (Fate){FAIL, lost};
        break;
    case MEMORY:
        if (is_hit || (is_forever && began))
            return (Fate){FAIL, OUT_OF_DEVICE_MEMORY};
        break;
    case HANG: // of a new device, once it is made
        if (device && is_hit)
            device->hangs = true;
        if (device && device->hangs && submits) {
            device->has_swallowed = true;
            return (Fate){SWALLOW, SUCCESS};
        }
        if (device && device->has_swallowed && waits_for_all)
            return (Fate){BLOCK, SUCCESS};
        break;
    case STUCK:
        if (is_hit)
            return (Fate){BLOCK, SUCCESS};
        break;
    case DROP:
        if (is_hit)
            drops_next = true;
        if (submits && atomic_exchange(&drops_next, false))
            return (Fate){SIGNAL, SUCCESS};
        break;
    }
    return (Fate){PASS, SUCCESS};
}

// Counts a call and decides what becomes of it. A call that never returns ends here.
static Fate decide(Device *device, int function, bool *is_hit) {
    const char *name = functions[function].name;
    bool counts = !only || strcmp(only, name) == 0;
    unsigned long number = counts ? atomic_fetch_add(&counted, 1) + 1 : 0;
    *is_hit = counts && number == fault_at;
    if (*is_hit)
        began = true;
    Fate fate = fate_of(device, function, *is_hit);
    if (counts && count_file >= 0) {
        char line[80];
        int length = snprintf(line, sizeof line, "%lu %s %s\n", number, name, fate.what == PASS ? "passed" : faults[fault]);
        if (write(count_file, line, length) != length)
            abort();
    }
    if (fate.what == BLOCK)
        block();
    return fate;
}

// The functions. Each is the same but for a submission, of which there may be no more left than its signals.

#define LAYER(...) LAYER_OF(__VA_ARGS__)
#define LAYER_OF(name, may_be_lost, parameters, arguments) \
    static Result layer_##name parameters { \
        Device *device = device_of(self); \
        bool is_hit; \
        Fate fate = decide(device, NUMBER_##name, &is_hit); \
        return fate.what == FAIL ? fate.result : ((Result(*) parameters)device->next[NUMBER_##name])arguments; \
    }
PLAIN(LAYER)

static Result layer_vkQueueSubmit(Object self, uint32_t count, const Submission *submissions, Number fence) {
    Device *device = device_of(self);
    bool is_hit;
    Fate fate = decide(device, NUMBER_vkQueueSubmit, &is_hit);
    if (fate.what == FAIL || fate.what == SWALLOW)
        return fate.result;
    Submission emptied[count ? count : 1];
    if (fate.what == SIGNAL) {
        for (uint32_t place = 0; place < count; place++) {
            emptied[place] = submissions[place];
            emptied[place].command_buffers = 0;
        }
        submissions = emptied;
    }
    typedef Result (*Submit)(Object, uint32_t, const Submission *, Number);
    return ((Submit)device->next[NUMBER_vkQueueSubmit])(self, count, submissions, fence);
}

// Making instances and devices.

static Object instance;
static GetFunction next_instance_function;

static Result layer_vkCreateInstance(const void *info, const void *allocator, Object *made) {
    typedef Result (*Create)(const void *, const void *, Object *);
    Link *link = take_link(info, INSTANCE_CHAIN);
    if (!link)
        return INITIALIZATION_FAILED;
    Create create = (Create)link->instance_function(NULL, "vkCreateInstance");
    Result result = create(info, allocator, made);
    if (result == SUCCESS) {
        instance = *made; // all instances have the same layers below this one
        next_instance_function = link->instance_function;
    }
    return result;
}

static Result layer_vkCreateDevice(Object physical, const void *info, const void *allocator, Object *made) {
    typedef Result (*Create)(Object, const void *, const void *, Object *);
    Link *link = take_link(info, DEVICE_CHAIN);
    if (!link)
        return INITIALIZATION_FAILED;
    bool is_hit;
    Fate fate = decide(NULL, NUMBER_vkCreateDevice, &is_hit);
    if (fate.what == FAIL)
        return fate.result;
    Create create = (Create)link->instance_function(instance, "vkCreateDevice");
    Result result = create(physical, info, allocator, made);
    if (result != SUCCESS)
        return result;
    Device *device = calloc(1, sizeof *device);
    if (!device)
        abort();
    device->key = **made;
    device->next_function = link->device_function;
    device->hangs = fault == HANG && (is_hit || (is_forever && began));
    for (int function = 0; function < DEVICE_FUNCTIONS; function++) {
        char twin[64];
        snprintf(twin, sizeof twin, "%sKHR", functions[function].name);
        device->next[function] = device->next_function(*made, functions[function].name);
        if (!device->next[function])
            device->next[function] = device->next_function(*made, twin);
    }
    device->older = newest;
    while (!atomic_compare_exchange_weak(&newest, &device->older, device))
        ;
    return SUCCESS;
}

// What an adapter says of itself: its kind is the fifth number of its properties.

enum { KIND = 4, DISCRETE_GPU = 2 };

typedef struct {
    int32_t type;
    void *next;
    int32_t properties[];
} Properties2;

static void (*next_properties)(Object, int32_t *);
static void (*next_properties2)(Object, Properties2 *);

static void layer_vkGetPhysicalDeviceProperties(Object physical, int32_t *properties) {
    next_properties(physical, properties);
    properties[KIND] = DISCRETE_GPU;
}

static void layer_vkGetPhysicalDeviceProperties2(Object physical, Properties2 *properties) {
    next_properties2(physical, properties);
    properties->properties[KIND] = DISCRETE_GPU;
}

// Looking functions up.

#define POINTER(...) POINTER_OF(__VA_ARGS__)
#define POINTER_OF(name, may_be_lost, parameters, arguments) (Function)layer_##name,
static const Function pointers[DEVICE_FUNCTIONS] = {PLAIN(POINTER) POINTER(vkQueueSubmit, true, SUBMIT)};

static Function counted_function(const char *name) {
    size_t length = strlen(name);
    if (length > 3 && strcmp(name + length - 3, "KHR") == 0)
        length -= 3;
    for (int function = 0; function < DEVICE_FUNCTIONS; function++)
        if (strlen(functions[function].name) == length && strncmp(functions[function].name, name, length) == 0)
            return pointers[function];
    return NULL;
}

static Function device_function(Object device, const char *name) {
    if (strcmp(name, "vkGetDeviceProcAddr") == 0)
        return (Function)device_function;
    Function next = device_of(device)->next_function(device, name);
    Function own = next ? counted_function(name) : NULL;
    return own ? own : next;
}

static Function instance_function(Object of, const char *name) {
    if (strcmp(name, "vkGetInstanceProcAddr") == 0)
        return (Function)instance_function;
    if (strcmp(name, "vkGetDeviceProcAddr") == 0)
        return (Function)device_function;
    if (strcmp(name, "vkCreateInstance") == 0)
        return (Function)layer_vkCreateInstance;
    if (strcmp(name, "vkCreateDevice") == 0)
        return (Function)layer_vkCreateDevice;
    Function next = next_instance_function ? next_instance_function(of, name) : NULL;
    if (is_discrete && next && strcmp(name, "vkGetPhysicalDeviceProperties") == 0) {
        if (next != (Function)layer_vkGetPhysicalDeviceProperties)
            next_properties = (void (*)(Object, int32_t *))next;
        return (Function)layer_vkGetPhysicalDeviceProperties;
    }
    if (is_discrete && next && strncmp(name, "vkGetPhysicalDeviceProperties2", 30) == 0) {
        if (next != (Function)layer_vkGetPhysicalDeviceProperties2)
            next_properties2 = (void (*)(Object, Properties2 *))next;
        return (Function)layer_vkGetPhysicalDeviceProperties2;
    }
    Function own = next ? counted_function(name) : NULL;
    return own ? own : next;
}

__attribute__((visibility("default"))) Result vkNegotiateLoaderLayerInterfaceVersion(Negotiation *negotiation) {
    if (negotiation->type != NEGOTIATION || negotiation->version < 2)
        return INITIALIZATION_FAILED;
    read_environment();
    negotiation->version = 2;
    negotiation->instance_function = instance_function;
    negotiation->device_function = device_function;
    negotiation->physical_device_function = NULL;
    return SUCCESS;
}
