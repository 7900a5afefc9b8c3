/*
 * Has a Vulkan driver make compute pipelines of SPIR-V files: radv FILE...
 *
 * With RADV, RADV_FORCE_FAMILY=NAVI21 and RADV_DEBUG=shaderstats,nocache it tells what its compiler makes of each for a GPU
 * that is not there: registers, instructions, workgroup memory, and how many waves a unit holds.
 *
 * The layout is what the kernels have: a uniform buffer with a dynamic offset, then storage buffers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <vulkan/vulkan.h>

enum { BINDINGS = 12 };

static void must(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "radv: %s\n", what);
        exit(1);
    }
}

int main(int count, char **names) {
    VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_3};
    VkInstanceCreateInfo of_instance = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
    VkInstance instance;
    must(!vkCreateInstance(&of_instance, NULL, &instance), "no instance");
    uint32_t devices = 1;
    VkPhysicalDevice physical;
    must(vkEnumeratePhysicalDevices(instance, &devices, &physical) >= 0 && devices == 1, "no device");
    float priority = 1;
    VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1, .pQueuePriorities = &priority};
    VkDeviceCreateInfo of_device = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue};
    VkDevice device;
    must(!vkCreateDevice(physical, &of_device, NULL, &device), "the device does not open");
    VkDescriptorSetLayoutBinding bindings[BINDINGS];
    for (uint32_t i = 0; i < BINDINGS; i++) {
        bindings[i] = (VkDescriptorSetLayoutBinding){
            .binding = i,
            .descriptorType = i ? VK_DESCRIPTOR_TYPE_STORAGE_BUFFER : VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER_DYNAMIC,
            .descriptorCount = 1,
            .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    }
    VkDescriptorSetLayoutCreateInfo of_set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = BINDINGS, .pBindings = bindings};
    VkDescriptorSetLayout set;
    must(!vkCreateDescriptorSetLayout(device, &of_set, NULL, &set), "no layout of bindings");
    VkPipelineLayoutCreateInfo of_layout = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, .setLayoutCount = 1, .pSetLayouts = &set};
    VkPipelineLayout layout;
    must(!vkCreatePipelineLayout(device, &of_layout, NULL, &layout), "no layout of the pipeline");
    static uint32_t words[1 << 18];
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(names[i], "rb");
        must(file != NULL, names[i]);
        size_t bytes = fread(words, 1, sizeof words, file);
        fclose(file);
        must(bytes > 0 && bytes < sizeof words, names[i]);
        VkShaderModuleCreateInfo of_module = {
            .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = bytes, .pCode = words};
        VkShaderModule module;
        must(!vkCreateShaderModule(device, &of_module, NULL, &module), names[i]);
        fprintf(stderr, "kernel %s\n", names[i]);
        VkComputePipelineCreateInfo of_pipeline = {
            .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
            .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                      .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                      .module = module,
                      .pName = "main"},
            .layout = layout};
        VkPipeline pipeline;
        must(!vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &of_pipeline, NULL, &pipeline), names[i]);
        vkDestroyPipeline(device, pipeline, NULL);
        vkDestroyShaderModule(device, module, NULL);
    }
    return 0;
}
