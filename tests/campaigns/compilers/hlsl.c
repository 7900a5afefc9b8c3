/* Compiles HLSL with Microsoft's own compilers, as wgpu does: hlsl fxc|dxc FILE. Prints the seconds, or what the compiler says.
   Exit codes: 0 compiled, 1 refused, 2 the compiler could not be used. */
#define COBJMACROS
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <d3dcompiler.h>

typedef HRESULT(WINAPI *Create)(REFCLSID, REFIID, void **);

static const GUID CLSID_DXC_COMPILER = {0x73e22d93, 0xe6ce, 0x47f3, {0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0}};
static const GUID IID_DXC_COMPILER3 = {0x228b4687, 0x5a6a, 0x4730, {0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54}};
static const GUID IID_DXC_RESULT = {0x58346cda, 0xdde7, 0x4497, {0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59}};

typedef struct {
    const void *text;
    SIZE_T size;
    UINT encoding;
} Buffer;

/* The methods of IDxcCompiler3 and IDxcResult that are called, at their places in the tables. */
typedef struct Object Object;
struct Object {
    void **methods;
};

static int fxc(const char *text, size_t size, const char *name) {
    HMODULE library = LoadLibraryA("d3dcompiler_47.dll");
    pD3DCompile compile = library ? (pD3DCompile)(void *)GetProcAddress(library, "D3DCompile") : NULL;
    if (!compile) {
        fprintf(stderr, "no d3dcompiler_47.dll\n");
        return 2;
    }
    ID3DBlob *code = NULL, *errors = NULL;
    HRESULT result =
        compile(text, size, name, NULL, NULL, "main", "cs_5_1", D3DCOMPILE_ENABLE_STRICTNESS, 0, &code, &errors);
    if (FAILED(result) && errors) {
        fprintf(stderr, "%.300s\n", (char *)ID3D10Blob_GetBufferPointer(errors));
    }
    return FAILED(result);
}

static int dxc(const char *text, size_t size) {
    HMODULE library = LoadLibraryA("dxcompiler.dll");
    Create create = library ? (Create)(void *)GetProcAddress(library, "DxcCreateInstance") : NULL;
    Object *compiler = NULL, *result = NULL, *errors = NULL;
    if (!create || FAILED(create(&CLSID_DXC_COMPILER, &IID_DXC_COMPILER3, (void **)&compiler))) {
        fprintf(stderr, "no dxcompiler.dll\n");
        return 2;
    }
    LPCWSTR arguments[] = {L"-E", L"main", L"-T", L"cs_6_0", L"-HV", L"2018", L"-no-warnings", L"-Ges"};
    Buffer buffer = {text, size, 65001};
    typedef HRESULT(STDMETHODCALLTYPE * Compile)(Object *, const Buffer *, LPCWSTR *, UINT, void *, REFIID, void **);
    if (FAILED(((Compile)compiler->methods[3])(compiler, &buffer, arguments, 8, NULL, &IID_DXC_RESULT,
                                                (void **)&result))) {
        fprintf(stderr, "IDxcCompiler3::Compile failed\n");
        return 2;
    }
    typedef HRESULT(STDMETHODCALLTYPE * Status)(Object *, HRESULT *);
    HRESULT status = E_FAIL;
    ((Status)result->methods[3])(result, &status);
    if (FAILED(status)) {
        typedef HRESULT(STDMETHODCALLTYPE * Errors)(Object *, Object **);
        typedef void *(STDMETHODCALLTYPE * Pointer)(Object *);
        if (SUCCEEDED(((Errors)result->methods[5])(result, &errors)) && errors) {
            fprintf(stderr, "%.300s\n", (char *)((Pointer)errors->methods[3])(errors));
        }
    }
    return FAILED(status);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: hlsl fxc|dxc FILE\n");
        return 2;
    }
    FILE *file = fopen(arguments[2], "rb");
    if (!file) {
        fprintf(stderr, "cannot read %s\n", arguments[2]);
        return 2;
    }
    char *text = malloc(1 << 22);
    size_t size = fread(text, 1, 1 << 22, file);
    fclose(file);
    LARGE_INTEGER begin, end, frequency;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&begin);
    int status = strcmp(arguments[1], "fxc") == 0 ? fxc(text, size, arguments[2]) : dxc(text, size);
    QueryPerformanceCounter(&end);
    printf("%.2f\n", (double)(end.QuadPart - begin.QuadPart) / (double)frequency.QuadPart);
    return status;
}
